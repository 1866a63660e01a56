/**
 * A colleague is invited and comes in by their link, and whoever signs out everywhere is signed out everywhere.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { openOrganiser } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

let server;
let ada;
let bob;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
}, { timeout: 90_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const button = (page, name) => page.getByRole('button', { name, exact: true });

/** The link that a dialog shows. */
async function shownLink(page) {
  const input = page.locator('dialog input[readonly]');
  await input.waitFor();
  return input.inputValue();
}

test('a colleague comes in by the link of an invitation, and it works once', { timeout: 60_000 }, async (t) => {
  await ada.page.goto(server.url);
  const began = performance.now();
  await button(ada.page, 'Invite a colleague').click();
  await ada.page.getByLabel('Their name').fill('Bob');
  await button(ada.page, 'Make the link').click();
  const link = await shownLink(ada.page);
  assert.match(link, /#key=/);
  await button(ada.page, 'Done').click();
  await bob.page.goto(link);
  await bob.page.getByText('Signed in as Bob').waitFor();
  report(t, 'invited and in', Math.round(performance.now() - began), 'ms');
  assert.ok(!bob.page.url().includes('key='), 'the key does not stay in the address');
  const again = await ada.page.evaluate(async (key) => {
    const answer = await fetch('/v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ key }) });
    return answer.status;
  }, link.split('#key=')[1]);
  assert.equal(again, 401);

  await button(ada.page, 'Invite a colleague').click();
  await ada.page.getByLabel('Their name').fill('Bob');
  await button(ada.page, 'Make the link').click();
  await ada.page.getByText('has that name already').waitFor();
  await button(ada.page, 'Cancel').click();
});

test('another device signs in by a link of one\'s own, and signing out everywhere ends both', { timeout: 60_000 }, async () => {
  await button(bob.page, 'Account').click();
  await button(bob.page, 'Sign in on another device').click();
  const link = await shownLink(bob.page);
  await button(bob.page, 'Done').click();
  await ada.page.goto('about:blank');
  await ada.page.goto(link);
  await ada.page.getByText('Signed in as Bob').waitFor();
  await button(ada.page, 'Account').click();
  await button(ada.page, 'Sign out everywhere').click();
  await ada.page.locator('dialog').getByRole('button', { name: 'Sign out everywhere' }).click();
  await until('the first device is signed out', async () => (await bob.page.evaluate(async () => (await fetch('/v1/me')).status)) === 401);
  await bob.page.reload();
  await bob.page.getByText('Do you organise meetings?').waitFor();
  await ada.page.getByText('Do you organise meetings?').waitFor();
});

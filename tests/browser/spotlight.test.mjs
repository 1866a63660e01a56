/**
 * The spotlight: one person large for everybody, whoever asks for it, also for who comes later or loads the page again.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { shotsDir } from './kit/env.mjs';
import { createMeeting, join, openOrganiser, press, seesMotion } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let bob;
let cleo;

before(async () => {
  mkdirSync(shotsDir, { recursive: true });
  server = await startServer();
  [ada, bob, cleo] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 }), openBrowser({ person: 2 })]);
  const { joinWebUrl } = await createMeeting(ada, 'Speakers');
  for (const [one, name] of [[ada, 'Ada'], [bob, 'Bob'], [cleo, 'Cleo']]) await join(one, joinWebUrl, name);
  await Promise.all([seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0), seesMotion(cleo, 'Ada', 0)]);
}, { timeout: 90_000 });

after(async () => {
  await Promise.all([ada, bob, cleo].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Waits until somebody's tile is far larger than any other, or none is. */
const large = ({ page }, name) => until(`${name ?? 'nobody'} large`, () => page.evaluate((wanted) => {
  const area = (element) => element.getBoundingClientRect().width * element.getBoundingClientRect().height;
  const [first, second] = [...document.querySelectorAll('.tile[data-participant-id]')].sort((a, b) => area(b) - area(a));
  return (first && area(first) > 2 * (second ? area(second) : 0) ? first.dataset.name : null) === wanted;
}, name));

test('a person is put into the spotlight by anybody, and seen so by everybody, through a reload', { timeout: 60_000 }, async () => {
  await press(bob, 'People');
  await press(bob, 'Show Cleo large to everybody');
  await Promise.all([large(ada, 'Cleo'), large(bob, 'Cleo')]);
  await cleo.page.getByText('You are in the spotlight: everybody sees you large.').waitFor();
  await seesMotion(ada, 'Cleo', 2);
  await ada.page.setViewportSize({ width: 1440, height: 900 });
  await ada.page.screenshot({ path: path(shotsDir, 'spotlight.png') });
  await bob.page.screenshot({ path: path(shotsDir, 'spotlight-people.png') });
  await ada.page.reload();
  await large(ada, 'Cleo');
  await cleo.page.reload();
  await cleo.page.getByText('You are in the spotlight: everybody sees you large.').waitFor();
  await large(ada, 'Cleo');

  await cleo.page.getByRole('button', { name: 'Leave it', exact: true }).click();
  await Promise.all([large(ada, null), large(bob, null)]);
  for (const one of [ada, bob, cleo]) assert.deepEqual(one.complaints, []);
});

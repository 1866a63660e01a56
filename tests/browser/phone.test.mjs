/**
 * Phones as people at the page see them: numbers in the invitation, a call out of the meeting in each of its states, and a
 * phone among the others. The phones themselves are played by the kit.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { SIZES, judge } from './kit/judge.mjs';
import { createMeeting, join, openOrganiser, press } from './kit/meeting.mjs';
import { layPhoneLine, phone } from './kit/phone-line.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

/** The narrowest that is promised too (WCAG 1.4.10). */
const NARROW = [...SIZES, { width: 320, height: 640 }];

let server;
let ada;
let bob;
let lines;
let meeting;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  meeting = await createMeeting(ada, 'Family');
  lines = { ada: await layPhoneLine(ada), bob: await layPhoneLine(bob, { mayDial: false }) };
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const dialog = ({ page }) => page.locator('dialog');
const invitationOf = (viewer) => dialog(viewer).getByRole('textbox', { name: 'Invitation' }).inputValue();
const closeDialog = (viewer) => dialog(viewer).getByRole('button', { name: 'Close' }).click();
const number = () => ada.page.getByRole('textbox', { name: 'Phone number' });
const rowOf = ({ page }, id) => page.locator(`[data-call-id="${id}"]`);
const active = () => ada.page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim() || document.activeElement?.id);
const spoken = ({ page }) => page.locator('.notices > [aria-live="polite"]').textContent();
/** Well-formed: the server closes on whoever wants to see somebody whose id could be nobody's. */
const [GRANDMA, SOMEBODY] = ['par_0193a00000007000800000000000f001', 'par_0193a00000007000800000000000f002'];
const call = (status, more = {}) => ({ id: 'call_1', name: 'Grandma', status, ...more });

test('the organiser hands out numbers and conference id, and alone sees the PIN', { timeout: 60_000 }, async () => {
  await ada.page.goto(server.url);
  await ada.page.getByText('Manage').click();
  await press(ada, 'Invitation');
  const text = await invitationOf(ada);
  assert.ok(text.includes('Or call +49 30 1234567 (Berlin), conference id 123 456 789#'), text);
  assert.ok(!text.includes('48151'), text);
  await dialog(ada).getByText('Your PIN, for you alone').waitFor();
  assert.equal(await dialog(ada).getByRole('link', { name: '+49 30 1234567' }).getAttribute('href'), 'tel:+49301234567,,123456789%23');
  await judge(ada, 'phone-invitation', NARROW);
  await closeDialog(ada);
});

test('the invitation of a meeting that was just scheduled has them too', { timeout: 60_000 }, async () => {
  await press(ada, 'Schedule…');
  await dialog(ada).getByLabel('Subject').fill('Tea');
  await press(ada, 'Schedule it');
  await dialog(ada).getByRole('heading', { name: 'Or call' }).waitFor();
  assert.match(await invitationOf(ada), /Tea[^]*conference id 123 456 789#/);
  await dialog(ada).getByRole('link', { name: 'Calendar file (.ics)' }).waitFor();
  await closeDialog(ada);
});

test('in the meeting everybody finds the numbers, and nobody else the PIN', { timeout: 60_000 }, async () => {
  await join(ada, meeting.joinWebUrl, 'Ada');
  await press(ada, 'Invitation');
  await dialog(ada).getByText('48151').waitFor();
  await closeDialog(ada);
  await judge(ada, 'phone-alone');
  await join(bob, meeting.joinWebUrl, 'Bob');
  await press(bob, 'People');
  await press(bob, 'Invitation');
  assert.match(await invitationOf(bob), /Or call \+44 20 7946 0000 \(London\), conference id 123 456 789#/);
  assert.equal(await dialog(bob).getByText('PIN').count(), 0);
  await judge(bob, 'phone-invitation-guest');
  await closeDialog(bob);
});

test('a phone is called by keyboard alone, as the participant', { timeout: 60_000 }, async () => {
  await press(ada, 'People');
  await ada.page.getByRole('button', { name: 'Call a phone' }).focus();
  await ada.page.keyboard.press('Enter');
  await until('the field to have the focus', async () => (await active()) === 'field-phoneNumber');
  await judge(ada, 'phone-box', NARROW);
  await ada.page.keyboard.press('Escape');
  await until('the box to be closed', async () => (await active()) === 'Call a phone');
  await ada.page.keyboard.press('Enter');
  await number().waitFor();
  await ada.page.keyboard.type('+49 30 7654321');
  await ada.page.keyboard.press('Tab');
  await ada.page.keyboard.type('Grandma');
  await ada.page.keyboard.press('Enter');
  await until('the call', () => lines.ada.asked.length === 1);
  const [{ method, body, token }] = lines.ada.asked;
  assert.deepEqual([method, body], ['POST', { phoneNumber: '+49 30 7654321', displayName: 'Grandma' }]);
  assert.match(token, /^Bearer /);
  await until('the focus to be back', async () => (await active()) === 'Call a phone');
  assert.equal(await number().isVisible(), false);
});

test('what was refused is said beside the number, with what to do', { timeout: 90_000 }, async () => {
  await press(ada, 'Call a phone');
  await press(ada, 'Call');
  await ada.page.getByText('Type the number that should be called.').waitFor();
  const refusals = [
    [400, 'invalid_phone_number', /with its country code/],
    [403, 'emergency_number', /with your own phone/],
    [403, 'number_not_allowed', /Try another number/],
    [403, 'forbidden', /Ask its organiser/],
    [409, 'not_live', /call again/],
    [429, 'too_many_calls', /Wait until one is over/],
    [503, 'no_phone_line', /in a few minutes/],
    [409, 'already_called', /among the people/],
  ];
  for (const [status, code, words] of refusals) {
    lines.ada.refuse(status, code);
    await number().fill('+49 30 7654321');
    await press(ada, 'Call');
    await ada.page.getByRole('alert').filter({ hasText: words }).waitFor();
    assert.equal(await number().getAttribute('aria-invalid'), 'true', code);
    assert.equal(await number().inputValue(), '+49 30 7654321', 'what was typed stays');
    await until('the focus to be at the number', async () => (await active()) === 'field-phoneNumber');
  }
  await judge(ada, 'phone-refused', NARROW);
  await ada.page.keyboard.press('Escape');
});

test('a call is followed from dialling to the question to press 1, and hung up', { timeout: 90_000 }, async () => {
  await lines.ada.calls(call('dialling'));
  await lines.bob.calls(call('dialling'));
  await rowOf(ada, 'call_1').getByText('Dialling…').waitFor();
  await until('it to be told', async () => (await spoken(ada)) === 'Grandma is being called.');
  await lines.ada.calls(call('ringing'), { id: 'call_2', name: '+49••••••67', status: 'answered' });
  await rowOf(ada, 'call_1').getByText('Ringing…').waitFor();
  await rowOf(ada, 'call_2').getByText('Asked to press 1').waitFor();
  await judge(ada, 'phone-calling', NARROW);
  const before = lines.ada.asked.length;
  await ada.page.getByRole('button', { name: 'Hang up: Grandma' }).focus();
  await ada.page.keyboard.press('Enter');
  await until('it to be hung up', () => lines.ada.asked.length > before);
  assert.deepEqual([lines.ada.asked.at(-1).method, lines.ada.asked.at(-1).id], ['DELETE', 'call_1']);
  await lines.ada.calls(call('ended', { endReason: 'cancelled' }));
  await until('the focus to be somewhere sensible', async () => (await active()) === 'Call a phone');
});

test('an end is shown and said, and goes by itself', { timeout: 60_000 }, async () => {
  await lines.ada.calls(call('ended', { endReason: 'busy', id: 'call_3' }));
  await rowOf(ada, 'call_3').getByText('busy').waitFor();
  await until('it to be told', async () => (await spoken(ada)) === 'Grandma: busy');
  assert.equal(await rowOf(ada, 'call_3').getByRole('button').count(), 0, 'there is nothing to hang up');
  await judge(ada, 'phone-ended');
  await lines.ada.calls();
  assert.ok(await rowOf(ada, 'call_3').isVisible(), 'for some seconds');
  await rowOf(ada, 'call_3').waitFor({ state: 'detached', timeout: 20_000 });
  assert.equal(await ada.page.getByRole('heading', { name: 'Calling' }).isVisible(), false);
});

test('who may not call phones sees that one is called, and can do nothing about it', { timeout: 60_000 }, async () => {
  await rowOf(bob, 'call_1').waitFor();
  assert.equal(await bob.page.getByRole('button', { name: 'Call a phone' }).isVisible(), false);
  assert.equal(await bob.page.getByRole('button', { name: /^Hang up/ }).count(), 0);
  await lines.bob.calls();
  await rowOf(bob, 'call_1').waitFor({ state: 'detached' });
});

test('a phone among the others has a face of its own, in the list and on the stage', { timeout: 90_000 }, async () => {
  await lines.ada.joined(phone(GRANDMA, 'Grandma'), phone(SOMEBODY, '+49••••••67', { microphoneMuted: true }));
  const row = ada.page.locator(`[data-person-id="${GRANDMA}"]`);
  await row.getByText('On the phone').first().waitFor();
  assert.equal(await row.locator('.face svg').count(), 1);
  const tile = ada.page.locator(`[data-participant-id="${GRANDMA}"]`);
  await tile.waitFor();
  assert.equal(await tile.locator('.face svg').count(), 1);
  assert.equal(await tile.getByText('On the phone').count(), 1, 'said to those who only hear');
  await judge(ada, 'phone-roster', NARROW);
  assert.ok(await tile.isVisible(), 'no new connection has taken it away');
  await press(ada, 'People');
  await judge(ada, 'phone-stage', NARROW);
});

test('nobody’s page complained', () => {
  const expected = /Failed to load resource: the server responded with a status of (400|403|409|429|503)/;
  for (const { complaints } of [ada, bob]) assert.deepEqual(complaints.filter((text) => !expected.test(text)), []);
});

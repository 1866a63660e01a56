/**
 * Calls out of a meeting to a real telephone: typed at the page, it rings, is answered, confirmed by a key, and is in; and every way in
 * which that comes to nothing, as the page shows and the record of the call keeps it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startPhone } from './kit/baresip.mjs';
import { TONES } from './kit/media.mjs';
import { createMeeting, hears, join, openOrganiser, press } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { freePort } from './kit/ports.mjs';
import { answerOnce } from './kit/sip.mjs';
import { playScenario } from './kit/sipp.mjs';
import { share } from './kit/sound.mjs';
import { startPhoneServer } from './kit/trunk.mjs';
import { report, until } from './kit/wait.mjs';

/** Persons whose voices are these tones. */
const [ADA, PHONE] = [0, 2];
const NUMBER = '+49 30 7654321';
const MASKED = '+49•••••••21';
const OUT = { dial_out_prefixes: '+49' };

let port;
let server;
let ada;
let phone;
let meeting;

before(async () => {
  port = await freePort();
  phone = await startPhone({ number: '+49307654321', port, tone: TONES[PHONE] });
  server = await startPhoneServer({ trunks: [{ name: 'lab', host: '127.0.0.1', port }], phone: OUT });
  server.canaries.add('7654321');
  ada = await openOrganiser(server, { person: ADA, words: true });
  await openMeeting();
  await until('the trunk to be there', async () => (await counted(server, 'sip_trunk_healthy')) === 1);
}, { timeout: 60_000 });

after(async () => {
  phone?.end();
  await ada?.close();
  await server?.stop();
}, { timeout: 30_000 });

/** Ada in a new meeting, with the people beside her. */
async function openMeeting() {
  meeting = await createMeeting(ada, 'Family');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await press(ada, 'People');
}

const phones = () => ada.page.evaluate(() => window.plenum.state().participants.filter(({ kind }) => kind === 'phone'));
const api = (path) => ada.page.evaluate(async (url) => (await fetch(url)).json(), path);
/** What is kept of the newest call. */
const record = async () => (await api(`/v1/onlineMeetings/${meeting.id}/phoneCalls`)).value[0];
const row = (text) => ada.page.locator('[data-call-id]').getByText(text).waitFor();

/** Types a number at the page, and calls. */
async function callFromPage(number, name = '') {
  const box = ada.page.getByRole('textbox', { name: 'Phone number' });
  if (!(await box.isVisible())) await press(ada, 'Call a phone');
  await box.fill(number);
  await ada.page.getByRole('textbox', { name: 'Name (optional)' }).fill(name);
  await press(ada, 'Call');
}

/** The call that this begins, once it rings. */
async function ringing(name) {
  const since = phone.events.length;
  await callFromPage(NUMBER, name);
  const call = await phone.rings(since);
  await row('Ringing…');
  return call;
}

async function ended(endReason, more = {}) {
  const { status, ...rest } = await until('the end in the record', async () => {
    const now = await record();
    return now.status === 'ended' && now;
  });
  assert.equal(rest.endReason, endReason);
  assert.equal(rest.phoneNumber, MASKED);
  assert.equal(rest.direction, 'outgoing');
  assert.ok(rest.endedDateTime);
  for (const [key, value] of Object.entries(more)) assert.equal(rest[key], value, key);
  assert.deepEqual(await phones(), []);
  return rest;
}

test('a number typed at the page rings, is answered, presses 1 and is in', { timeout: 60_000 }, async (t) => {
  const began = performance.now();
  const call = await ringing('Grandma');
  report(t, 'from the click to the bell, and the page that shows it', performance.now() - began);
  assert.match(phone.events.find(({ type }) => type === 'CALL_INCOMING').peeruri, /\+493012345@/, 'and shows who calls');
  phone.accept();
  await call.answered();
  await row('Asked to press 1');
  await call.hears(['invited']);
  assert.deepEqual(await phones(), [], 'nobody is in by answering');
  await phone.press('1');
  const one = await until('the phone in the meeting', async () => (await phones())[0]);
  assert.equal(one.displayName, 'Grandma');
  await call.hears(['joined']);
  await Promise.all([hears(ada, PHONE), until('Ada at the phone', async () => share(await call.next(0.5), TONES[ADA]) > 0.5)]);
  assert.equal(await ada.page.locator('[data-call-id]').count(), 0, 'a call that is in is a person');
  const kept = await record();
  assert.deepEqual([kept.status, kept.participantId, kept.phoneNumber, kept.displayName, kept.trunk], ['joined', one.id, MASKED, 'Grandma', 'lab']);
  await callFromPage(NUMBER);
  await ada.page.getByRole('alert').filter({ hasText: 'Look for it among the people' }).waitFor();
  await ada.page.keyboard.press('Escape');
  phone.hangUp();
  await until('the phone to be gone', async () => (await phones()).length === 0);
  await ended('hungUp', { participantId: one.id });
});

test('hung up from the page while it rings, the bell stops', { timeout: 60_000 }, async () => {
  const call = await ringing('Grandma');
  await press(ada, 'Hang up: Grandma');
  await call.ended();
  await row('call cancelled');
  await ended('cancelled', { answeredDateTime: null });
});

test('who is busy is shown busy', { timeout: 60_000 }, async () => {
  await ringing();
  phone.hangUp();
  await row('busy');
  await ended('busy', { sipCode: 486, displayName: null });
});

test('who answers and does not press 1 is not let in, and the call ends', { timeout: 60_000 }, async () => {
  const call = await ringing('Machine');
  phone.accept();
  await call.answered();
  await call.hears(['invited', 'goodbye'], 0, { timeout: 40_000 });
  await call.ended();
  await row('nobody pressed 1');
  await ended('notConfirmed');
});

test('numbers that may not be called are refused beside the number, and nothing rings', { timeout: 60_000 }, async () => {
  const noCall = () => until('no call', async () => (await counted(server, 'sip_calls')) === 0);
  await noCall();
  const before = phone.events.length;
  for (const [number, words] of [
    ['+44 20 7946 0000', 'does not call numbers of that kind'],
    ['112', 'Emergency numbers cannot be called'],
    ['Grandma', 'not a number that can be called'],
  ]) {
    await callFromPage(number);
    await ada.page.getByRole('alert').filter({ hasText: words }).waitFor();
  }
  await ada.page.keyboard.press('Escape');
  assert.equal(phone.events.length, before);
  await noCall();
});

/** A server whose trunk is SIPp, with Ada in a meeting of it. */
async function withTrunk(t, trunk, scenario, more = {}) {
  const at = await freePort();
  const answered = answerOnce(at);
  const other = await startPhoneServer({ trunks: [{ name: 'lab', host: '127.0.0.1', port: at, options_seconds: 86_400, ...trunk }], phone: { ...OUT, ...more } });
  await answered;
  await until('the trunk to be there', async () => (await counted(other, 'sip_trunk_healthy')) === 1);
  const sipp = await playScenario({ scenario, port: at });
  t.after(async () => {
    sipp.end();
    await ada.page.goto('about:blank');
    await other.stop();
  });
  await ada.page.goto(await other.link());
  await ada.page.getByRole('button', { name: 'New meeting' }).waitFor();
  await openMeeting();
  return { other, sipp };
}

test('who declines is shown so', { timeout: 60_000 }, async (t) => {
  const { sipp } = await withTrunk(t, {}, 'decline');
  await callFromPage(NUMBER, 'Grandma');
  await row('declined');
  await ended('declined', { sipCode: 603 });
  await sipp.done();
});

test('a phone that rings for as long as it may is given up', { timeout: 60_000 }, async (t) => {
  const { sipp } = await withTrunk(t, {}, 'rings', { ring_seconds: '5' });
  await callFromPage(NUMBER, 'Grandma');
  await row('Ringing…');
  await row('no answer');
  await ended('noAnswer', { answeredDateTime: null });
  await sipp.done();
});

test('a trunk that asks for a password gets it; a call that hangs up by itself is kept as that', { timeout: 60_000 }, async (t) => {
  const { sipp } = await withTrunk(t, { username: 'us', password: 'secret' }, 'challenge');
  await callFromPage(NUMBER);
  await sipp.done();
  await ended('hungUp', { trunk: 'lab' });
});

test('a password that is wrong is tried once', { timeout: 60_000 }, async (t) => {
  const { sipp, other } = await withTrunk(t, { username: 'us', password: 'wrong' }, 'never-right');
  await callFromPage(NUMBER);
  await row('cannot be reached');
  await ended('unreachable', { sipCode: 401 });
  await sipp.done();
  assert.equal(await counted(other, 'sip_calls'), 0);
});

/**
 * What people see of a recording while it runs, and that nobody is in it who has not agreed where the organisation asks for that.
 *
 * Mallory's client is a stranger's (kit/stranger.mjs): it sends on whatever it is told.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openChat, openOrganiser, press, seesMotion } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let bob;
let mallory;
let meeting;
let hacked;

before(async () => {
  server = await startServer();
  [ada, bob, mallory] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 }), openBrowser({ person: 3 })]);
  meeting = await createMeeting(ada, 'Agreed');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await join(bob, meeting.joinWebUrl, 'Bob');
  hacked = await openStranger(mallory.page, server.url);
  const ticket = (await hacked.join(meeting.joinWebUrl, 'Mallory')).body;
  await hacked.connect(ticket.token);
  await hacked.offer({ audio: 'device', video: 'device', audioSlots: 1, videoSlots: 1 });
  await Promise.all([hears(ada, 1), hears(ada, 3), seesMotion(ada, 'Bob', 1)]);
}, { timeout: 90_000 });

after(async () => {
  await Promise.all([ada, bob, mallory].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const stateAt = ({ page }) => page.evaluate(() => window.plenum.state());
const recordingAt = async (one) => (await stateAt(one)).recording.state;
/** Whether this page knows of the part after `recordingId`: until a page is back, it shows what was before. */
const isInNextPart = async (one, recordingId) => {
  const { recording } = await stateAt(one);
  return recording.state === 'on' && recording.recordingId !== recordingId;
};
const heardBy = ({ page }) => page.evaluate(() => window.__kit.heard());
const sent = (kind) => mallory.page.evaluate((which) => window.__kit.outbound(which, window.stranger.pc), kind);
const dialog = ({ page }) => page.getByRole('dialog', { name: 'This meeting is recorded' });

/** Runs until Mallory's client has sent `packets` more, and gives what Ada heard meanwhile. */
async function heardWhileSending(packets) {
  const from = await sent('audio');
  const heard = [];
  await until(`${packets} more packets from the stranger's client`, async () => {
    heard.push(...(await heardBy(ada)));
    return (await sent('audio')) >= from + packets;
  });
  return heard;
}

async function requireConsent(required) {
  const token = await server.token('Root', '--admin');
  const answer = await fetch(`${server.url}/v1/organization/policy`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ requireRecordingConsent: required }),
  });
  assert.equal(answer.status, 200);
}

test('whoever has not agreed reaches nobody while the meeting is recorded, whatever their client sends', { timeout: 60_000 }, async () => {
  await requireConsent(true);
  await press(ada, 'Record');
  await until('the recording', async () => (await recordingAt(ada)) === 'on');
  assert.equal(await dialog(ada).count(), 0, 'who starts it agrees by that');
  await dialog(bob).waitFor();
  await until('silence', async () => !(await heardBy(ada)).some((person) => person === 1 || person === 3));
  assert.deepEqual((await heardWhileSending(100)).filter((person) => person !== 0), [], 'nobody who is held');
  const refused = await hacked.request({ type: 'mute', kind: 'microphone', muted: false }).catch((error) => error);
  assert.match(JSON.stringify(refused?.message ?? refused), /consent_needed|Agree/);
  assert.deepEqual((await heardWhileSending(50)).filter((person) => person !== 0), [], 'saying so does not unmute');
});

test('not now: the question stays, and unmuting asks it again', { timeout: 30_000 }, async () => {
  await press(bob, 'Not now');
  await bob.page.getByText('Nobody hears or sees you until you agree.').waitFor();
  await press(bob, 'Unmute');
  await dialog(bob).waitFor();
});

test('whoever agrees may be heard again, and is recorded', { timeout: 60_000 }, async () => {
  await press(bob, 'Agree');
  await until('the answer', async () => (await stateAt(bob)).consent === 'given');
  await press(bob, 'Unmute');
  await hears(ada, 1);
  assert.ok(!(await heardWhileSending(50)).includes(3), 'Mallory has not agreed');
  await press(ada, 'Stop recording');
  await until('the end', async () => (await recordingAt(ada)) === 'off');
  await openChat(ada);
  await ada.page.locator('a[href*="/recordings/"]').first().waitFor({ timeout: 30_000 });
  const names = await ada.page.evaluate(async (id) => {
    const list = await (await fetch(`/v1/onlineMeetings/${id}/recordings`)).json();
    const { tracks } = await (await fetch(`/v1/recordings/${list.value[0].id}`, { headers: { accept: 'application/json' } })).json();
    return tracks.map(({ displayName, kind, durationMs }) => `${displayName} ${kind} ${durationMs > 0}`).sort();
  }, meeting.id);
  assert.deepEqual(names.filter((name) => name.startsWith('Mallory') && name.endsWith('true')), [], `nothing of Mallory: ${names}`);
  assert.ok(names.some((name) => name.startsWith('Bob microphone')), `Bob from when he agreed: ${names}`);
  assert.equal((await stateAt(bob)).consent, 'notNeeded', 'and afterwards nobody is held');
});

test('after a crash of the server it goes on as the next part when somebody is back, and says so', { timeout: 90_000 }, async () => {
  await requireConsent(false);
  await press(ada, 'Record');
  await until('the recording', async () => (await recordingAt(bob)) === 'on');
  const { recordingId } = (await stateAt(bob)).recording;
  await server.kill();
  await server.start();
  await until('the next part', () => isInNextPart(bob, recordingId), { timeout: 45_000 });
  await openChat(bob);
  for (const line of ['Recording interrupted: the server was restarted.', 'The recording goes on, as part 2.']) {
    await bob.page.getByText(line).first().waitFor();
  }
  await until('the organiser to be back', () => isInNextPart(ada, recordingId), { timeout: 45_000 });
  await press(ada, 'Stop recording');
  await until('the end', async () => (await recordingAt(bob)) === 'off', { timeout: 30_000 });
});

// This one needs a recorder that knows pauses.
test('a pause is said to everybody, and its end before it goes on', { timeout: 60_000 }, async () => {
  await press(ada, 'Record');
  await until('the recording', async () => (await recordingAt(bob)) === 'on');
  await press(ada, 'Pause recording');
  for (const one of [ada, bob]) await one.page.getByText('Recording is paused.').first().waitFor();
  await press(ada, 'Resume recording');
  await until('the recording to go on', async () => (await recordingAt(bob)) === 'on');
  await bob.page.getByText('This meeting is being recorded.').first().waitFor();
  await openChat(bob);
  for (const line of ['Recording paused.', 'Recording resumed.']) await bob.page.getByText(line).first().waitFor();
  await press(ada, 'Stop recording');
  await until('the end', async () => (await recordingAt(bob)) === 'off');
});

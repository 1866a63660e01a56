/**
 * Policy lives in the router: who is muted and keeps sending reaches nobody, and who was removed stays out.
 *
 * The muted client is a stranger's (kit/stranger.mjs): it asks to be muted and sends on, which Plenum's own page would not.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, press, seesMotion, selfOf } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let mallory;
let meeting;
let hacked;
let ticket;

before(async () => {
  server = await startServer();
  [ada, mallory] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 3 })]);
  meeting = await createMeeting(ada, 'Moderated');
  await join(ada, meeting.joinWebUrl, 'Ada');
  hacked = await openStranger(mallory.page, server.url);
  ticket = (await hacked.join(meeting.joinWebUrl, 'Mallory')).body;
  await hacked.connect(ticket.token);
  await hacked.offer({ audio: 'device', video: 'device', audioSlots: 1, videoSlots: 1 });
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, mallory].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const sent = (kind) => mallory.page.evaluate((which) => window.__kit.outbound(which, window.stranger.pc), kind);

/** Runs until the hacked client has sent `packets` more of a kind, and gives what the organiser's page saw meanwhile. */
async function whileSending(kind, packets, look) {
  const from = await sent(kind);
  const seen = [];
  await until(`${packets} more packets from the hacked client`, async () => {
    seen.push(await look());
    return (await sent(kind)) >= from + packets;
  });
  return seen;
}

const heardByAda = () => ada.page.evaluate(() => window.__kit.heard());
const counterAtAda = () => ada.page.evaluate(() =>
  window.__kit.tiles().find(({ name, picture }) => name === 'Mallory' && picture)?.picture.counter ?? 'none');

test('before: the hacked client is heard and seen', { timeout: 30_000 }, async () => {
  await Promise.all([hears(ada, 3), seesMotion(ada, 'Mallory', 3)]);
});

test('a muted microphone that keeps sending reaches nobody', { timeout: 30_000 }, async () => {
  await hacked.request({ type: 'mute', kind: 'microphone', muted: true });
  await until('silence', async () => !(await heardByAda()).includes(3));
  const heard = await whileSending('audio', 150, heardByAda);
  assert.deepEqual(heard.filter((who) => who.includes(3)), [], 'not a syllable in 150 packets');
  await hacked.request({ type: 'mute', kind: 'microphone', muted: false });
  await hears(ada, 3);
});

test('a muted camera that keeps sending shows nothing new', { timeout: 30_000 }, async () => {
  await hacked.request({ type: 'mute', kind: 'camera', muted: true });
  await until('the picture to stop', async () => {
    const counters = await whileSending('video', 20, counterAtAda);
    return new Set(counters).size === 1;
  });
  const counters = await whileSending('video', 60, counterAtAda);
  assert.equal(new Set(counters).size, 1, `one still picture or none, saw ${[...new Set(counters)]}`);
  await hacked.request({ type: 'mute', kind: 'camera', muted: false });
  await seesMotion(ada, 'Mallory', 3);
});

test('the organiser silences a microphone; its owner is told and may unmute', { timeout: 30_000 }, async () => {
  await press(ada, 'People');
  await press(ada, 'Mute Mallory');
  await until('silence', async () => !(await heardByAda()).includes(3));
  const heard = await whileSending('audio', 100, heardByAda);
  assert.deepEqual(heard.filter((who) => who.includes(3)), []);
  assert.ok((await hacked.state()).roster[ticket.participantId].microphoneMuted);
  await hacked.request({ type: 'mute', kind: 'microphone', muted: false });
  await hears(ada, 3);
});

test('a guest may not moderate', { timeout: 30_000 }, async () => {
  await assert.rejects(hacked.request({ type: 'removeParticipant', participantId: await selfOf(ada) }), /not_allowed/);
  await assert.rejects(hacked.request({ type: 'muteParticipant', participantId: await selfOf(ada) }), /not_allowed/);
  await assert.rejects(hacked.request({ type: 'record', action: 'start' }), /not_allowed/);
});

test('the removed guest is out at once and cannot come back with the same token', { timeout: 30_000 }, async () => {
  await press(ada, 'Remove Mallory');
  await press(ada, 'Remove');
  const { closed } = await until('the close', async () => {
    const state = await hacked.state();
    return state.closed && state;
  });
  assert.equal(closed.code, 4003);
  await until('silence', async () => !(await heardByAda()).includes(3));
  await until('the tile to go', () => ada.page.evaluate(() => window.__kit.tiles().every(({ name }) => name !== 'Mallory')));
  await assert.rejects(hacked.connect(ticket.token), /closed with 400[13]/);
  const whip = await fetch(ticket.whipUrl, {
    method: 'POST',
    headers: { authorization: `Bearer ${ticket.token}`, 'content-type': 'application/sdp' },
    body: 'v=0\r\n',
  });
  assert.ok([401, 403].includes(whip.status), `WHIP with the removed token: ${whip.status}`);
  const poll = await fetch(`${server.url}/v1/live/poll`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ticket.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ session: null, after: 0, send: [{ type: 'hello', token: ticket.token, cursor: 0 }], wait: 0 }),
  });
  assert.ok([401, 403].includes(poll.status) || /removed|token/.test(await poll.text()), 'nor by long poll');
});

test('all that the server said is in the protocol', async () => {
  assert.deepEqual(await hacked.deviations(), []);
});

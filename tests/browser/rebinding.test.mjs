/**
 * A NAT forgets its mapping and gives a browser another address in the middle of a meeting: media goes on both ways,
 * and neither page does anything for it.
 *
 * Bob publishes and receives behind the proxy, Ada is there directly. Two mechanisms find the new address: the server
 * asks by a check of its own as soon as an authentic packet comes from there, and the browser's consent checks
 * (RFC 7675) come every second or less often. Each test holds one of them back, so that it shows the other alone.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, routeMedia, sdpSeen, seesMotion } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { isStunRequest, startProxy } from './kit/proxy.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

const MOVED = 'engine_paths_moved_total';
/** The server asks when the first sound comes, after 20 ms; a crowded machine gets slack, the figures are printed. */
const MOVE_LIMIT_MS = 2_000;

let server;
let proxy;
let ada;
let bob;

before(async () => {
  server = await startServer();
  proxy = await startProxy({ udpTarget: server.port });
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  const { joinWebUrl } = await createMeeting(ada, 'Rebinding');
  await routeMedia(bob, proxy.udpPort);
  await join(ada, joinWebUrl, 'Ada');
  await join(bob, joinWebUrl, 'Bob');
  await together();
  await Promise.all([watch(ada, 'Bob'), watch(bob, 'Ada')]);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  proxy?.close();
  await server?.stop();
}, { timeout: 30_000 });

const together = () =>
  Promise.all([seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0), hears(ada, 1), hears(bob, 0)]);

/** From now on a page keeps when each picture of a person was received and shown, and each state that ICE came to. */
const watch = ({ page }, name) => page.evaluate((who) => {
  const video = document.querySelector(`[data-name="${who}"] video`);
  const wall = (time) => performance.timeOrigin + time;
  window.pictures = [];
  const onFrame = (now, { receiveTime }) => {
    window.pictures.push({ received: wall(receiveTime), shown: wall(performance.now()) });
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
  window.iceStates = [];
  const { pc } = window.plenum;
  pc.addEventListener('iceconnectionstatechange', () => window.iceStates.push(pc.iceConnectionState));
}, name);

/** What a page would have had to change in order to help itself. */
const signalling = async (one) => ({
  ...(await sdpSeen(one)),
  ...(await one.page.evaluate(() => ({
    connections: window.__kit.connections.length,
    sockets: window.__kit.sockets.map(({ readyState }) => readyState),
    credentials: window.plenum.pc.localDescription.sdp.match(/^a=ice-(ufrag|pwd):.*$/gm),
  }))),
});

/** Rebinds and waits until the server's media comes by the new address. Times are those of the wall. */
async function rebind(timeout) {
  let found;
  const rebound = performance.now();
  proxy.rebind().then((at) => (found = at));
  const at = await until('media by the new address', () => found, { timeout });
  return { rebound: performance.timeOrigin + rebound, moved: performance.timeOrigin + at };
}

/** When a viewer was shown the first picture that had come after a moment. */
const shownAfter = (viewer, moment) => until('a picture by the new path', () =>
  viewer.page.evaluate((from) => window.pictures.find(({ received }) => received > from)?.shown, moment));

async function reportPictures(t, { rebound, moved }) {
  report(t, 'the server sends to the new address after', moved - rebound);
  const [atBob, atAda] = await Promise.all([shownAfter(bob, moved), shownAfter(ada, moved)]);
  report(t, 'the rebound one has pictures again after', atBob - rebound);
  report(t, 'the other has the rebound one\'s pictures again after', atAda - rebound);
  report(t, 'datagrams that went to the old address', proxy.counters().down.stale, '');
}

test('the server finds the new address at once, and no page does anything', { timeout: 30_000 }, async (t) => {
  const before = await Promise.all([ada, bob].map(signalling));
  const moves = await counted(server, MOVED);
  proxy.impair({ up: { drops: isStunRequest } });
  const times = await rebind(MOVE_LIMIT_MS);
  await until('the move to be counted', async () => (await counted(server, MOVED)) === moves + 1);
  report(t, 'checks of the browser held back', proxy.counters().up.refused, '');
  proxy.impair({});

  await reportPictures(t, times);
  await together();
  const after = await Promise.all([ada, bob].map(signalling));
  assert.deepEqual(after, before, 'no offer, no ICE restart, the same WebSocket');
  assert.deepEqual(await bob.page.evaluate(() => window.iceStates), [], 'the browser noticed nothing');
  assert.equal(await counted(server, MOVED), moves + 1, 'it moved once');
  assert.ok(times.moved - times.rebound < MOVE_LIMIT_MS);
});

test('where the server\'s check does not get through, the browser\'s own heals it', { timeout: 40_000 }, async (t) => {
  const before = await Promise.all([ada, bob].map(signalling));
  const moves = await counted(server, MOVED);
  proxy.impair({ down: { drops: isStunRequest } });
  const times = await rebind(15_000);
  await reportPictures(t, times);
  assert.ok(proxy.counters().down.refused > 0, 'the server did ask');
  proxy.impair({});

  await together();
  const after = await Promise.all([ada, bob].map(signalling));
  assert.deepEqual(after, before, 'no offer, no ICE restart, the same WebSocket');
  const forwarded = () => counted(server, 'engine_packets_forwarded_total');
  const then = await forwarded();
  await until('counters newer than the move', async () => (await forwarded()) > then);
  assert.equal(await counted(server, MOVED), moves, 'a move that a browser\'s check told is not counted');
  const states = await bob.page.evaluate(() => window.iceStates);
  report(t, 'states of ICE meanwhile', states.join(', ') || 'none', '');
});

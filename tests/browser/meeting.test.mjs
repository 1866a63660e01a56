/**
 * The first meeting: an organiser, a guest by link, a third who comes late. Everybody sees and hears everybody, and nobody
 * but the one who joins sees any SDP.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import { openBrowser } from './kit/browser.mjs';
import { shotsDir } from './kit/env.mjs';
import { deviations } from './kit/golden.mjs';
import { hears, join, openOrganiser, press, sdpSeen, seesChat, seesMotion, seesPicture, selfOf, sendChat } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

/** The goals are 3 s and 1.5 s; a shared two-core machine gets slack, the figures are printed. */
const JOIN_LIMIT_MS = 10_000;
const LATE_PICTURE_LIMIT_MS = 6_000;

let server;
let ada;
let bob;
let cyn;
let joinWebUrl;
const wire = [];

/** Keeps every live message that a page sends or receives. */
function tapWire({ page }) {
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => wire.push(['client', payload]));
    socket.on('framereceived', ({ payload }) => wire.push(['server', payload]));
  });
}

before(async () => {
  server = await startServer();
  for (const text of ['Ada Canary', 'Bob Canary', 'Cyn Canary', 'canary before you came']) server.canaries.add(text);
  [ada, bob, cyn] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 }), openBrowser({ person: 2 })]);
  for (const one of [ada, bob, cyn]) tapWire(one);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob, cyn].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

test('the organiser creates a meeting from the start page and joins it', { timeout: 60_000 }, async (t) => {
  await press(ada, 'New meeting');
  await ada.page.waitForURL(/\/join\/[\w-]{10,}$/);
  joinWebUrl = ada.page.url();
  await join(ada, joinWebUrl, 'Ada Canary');
  assert.match(await selfOf(ada), /^par_/);
  report(t, 'joinWebUrl length', joinWebUrl.length, 'characters');
});

test('a guest joins by the link without an account; both see and hear each other', { timeout: 60_000 }, async (t) => {
  const pressed = await join(bob, joinWebUrl, 'Bob Canary');
  report(t, 'in the meeting after pressing Join', performance.now() - pressed);
  await Promise.all([seesPicture(bob, 'Ada Canary', 0), seesPicture(ada, 'Bob Canary', 1)]);
  const seen = performance.now() - pressed;
  report(t, 'both see each other after pressing Join', seen);
  await Promise.all([hears(bob, 0), hears(ada, 1)]);
  const heard = performance.now() - pressed;
  report(t, 'both hear each other after pressing Join', heard);
  await Promise.all([seesMotion(bob, 'Ada Canary', 0), seesMotion(ada, 'Bob Canary', 1)]);
  assert.ok(seen < JOIN_LIMIT_MS && heard < JOIN_LIMIT_MS, `within ${JOIN_LIMIT_MS} ms`);
});

test('a late third sees this run\'s chat and every picture, and the others see no SDP', { timeout: 60_000 }, async (t) => {
  await sendChat(ada, 'canary before you came');
  await seesChat(bob, 'canary before you came');
  const before = await Promise.all([sdpSeen(ada), sdpSeen(bob)]);
  const pressed = await join(cyn, joinWebUrl, 'Cyn Canary');
  await Promise.any([seesPicture(cyn, 'Ada Canary', 0), seesPicture(cyn, 'Bob Canary', 1)]);
  const first = performance.now() - pressed;
  report(t, 'first picture of the late participant after pressing Join', first);
  await Promise.all([
    seesMotion(cyn, 'Ada Canary', 0),
    seesMotion(cyn, 'Bob Canary', 1),
    seesMotion(ada, 'Cyn Canary', 2),
    seesMotion(bob, 'Cyn Canary', 2),
  ]);
  await Promise.all([hears(cyn, 0), hears(cyn, 1), hears(ada, 2), hears(bob, 2)]);
  report(t, 'everybody sees and hears everybody after pressing Join', performance.now() - pressed);
  await seesChat(cyn, 'canary before you came');
  assert.deepEqual(await Promise.all([sdpSeen(ada), sdpSeen(bob)]), before, 'no offer because somebody else joined');
  assert.ok(first < LATE_PICTURE_LIMIT_MS, `within ${LATE_PICTURE_LIMIT_MS} ms`);
});

test('three people on one stage, for the eye', { timeout: 30_000 }, async () => {
  mkdirSync(shotsDir, { recursive: true });
  await press(ada, 'Chat');
  await ada.page.setViewportSize({ width: 1440, height: 900 });
  await Promise.all([seesMotion(ada, 'Bob Canary', 1), seesMotion(ada, 'Cyn Canary', 2)]);
  await ada.page.screenshot({ path: path(shotsDir, 'three-people.png') });
});

test('who leaves is gone from the others\' stage', { timeout: 30_000 }, async () => {
  await press(cyn, 'Leave');
  await until('the tile to go', async () => {
    const tiles = await ada.page.evaluate(() => window.__kit.tiles());
    return tiles.every(({ name }) => name !== 'Cyn Canary');
  });
  await seesMotion(ada, 'Bob Canary', 1);
});

test('everything said on the wire has the shape of the golden files', () => {
  const spoken = wire.map(([side, payload]) => [side, JSON.parse(payload)]);
  for (const type of ['welcome', 'answer', 'slots', 'event', 'roster']) {
    assert.ok(spoken.some(([side, message]) => side === 'server' && message.type === type), `some ${type} was heard`);
  }
  assert.deepEqual([...new Set(spoken.flatMap(([side, message]) => deviations(side, message)))], []);
});

test('no page complained', () => {
  assert.deepEqual([ada, bob, cyn].flatMap(({ complaints }) => complaints), []);
});

test('the organiser\'s link works once', { timeout: 30_000 }, async () => {
  const key = (await server.link()).split('#key=')[1];
  const use = () => fetch(`${server.url}/v1/session`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ key }) });
  assert.equal((await use()).status, 204);
  assert.ok([401, 403].includes((await use()).status));
  assert.equal((await fetch(`${server.url}/v1/onlineMeetings`)).status, 401, 'a stranger has no meetings');
});

/**
 * Where a proxy refuses WebSocket, the same meeting happens over a long poll.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, seesChat, seesMotion, sendChat } from './kit/meeting.mjs';
import { startProxy } from './kit/proxy.mjs';
import { startServer } from './kit/server.mjs';
import { report } from './kit/wait.mjs';

let server;
let proxy;
let ada;
let bob;

before(async () => {
  server = await startServer();
  proxy = await startProxy({ tcpTarget: server.port, refuseUpgrade: true });
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  proxy?.close();
  await server?.stop();
}, { timeout: 30_000 });

test('a participant behind a proxy that refuses WebSocket sees, hears and chats', { timeout: 90_000 }, async (t) => {
  const meeting = await createMeeting(ada, 'No WebSocket');
  let polls = 0;
  const received = [];
  bob.page.on('request', (request) => (polls += request.url().endsWith('/v1/live/poll') ? 1 : 0));
  bob.page.on('websocket', (socket) => socket.on('framereceived', (frame) => received.push(frame)));
  await join(ada, meeting.joinWebUrl, 'Ada');
  const pressed = await join(bob, meeting.joinWebUrl.replace(`:${server.port}/`, `:${proxy.tcpPort}/`), 'Bob');
  await Promise.all([seesMotion(bob, 'Ada', 0), seesMotion(ada, 'Bob', 1), hears(bob, 0), hears(ada, 1)]);
  report(t, 'everybody sees and hears everybody after pressing Join', performance.now() - pressed);
  await sendChat(ada, 'over WebSocket');
  await seesChat(bob, 'over WebSocket');
  await sendChat(bob, 'over a long poll');
  await seesChat(ada, 'over a long poll');
  assert.ok(polls > 2, 'it polled');
  assert.deepEqual(received, [], 'no WebSocket was had');
});

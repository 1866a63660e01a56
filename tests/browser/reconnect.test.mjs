/**
 * Reload and a pulled cable: the same participant comes back, pictures and sound move on, missed chat arrives once.
 *
 * The browser's offline switch leaves media running; so the one who is cut sits behind the impairment proxy with everything:
 * page, WebSocket and media.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, routeMedia, seesChat, seesMotion, selfOf, sendChat } from './kit/meeting.mjs';
import { startProxy } from './kit/proxy.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

const CUT_MS = 5_000;

let server;
let proxy;
let ada;
let bob;
let meeting;

before(async () => {
  server = await startServer();
  proxy = await startProxy({ tcpTarget: server.port, udpTarget: server.port });
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  meeting = await createMeeting(ada, 'Bad network');
  await routeMedia(bob, proxy.udpPort);
  await join(ada, meeting.joinWebUrl, 'Ada');
  await join(bob, meeting.joinWebUrl.replace(`:${server.port}/`, `:${proxy.tcpPort}/`), 'Bob');
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  proxy?.close();
  await server?.stop();
}, { timeout: 30_000 });

const together = () => Promise.all([seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0), hears(ada, 1), hears(bob, 0)]);
const bobsAtAda = () => ada.page.evaluate(() => [...new Set(window.__kit.tiles().filter(({ name }) => name === 'Bob').map(({ participant }) => participant))]);

test('media really runs through the proxy', { timeout: 30_000 }, async () => {
  await together();
  await until('a hundred datagrams each way', () => {
    const { up, down } = proxy.counters();
    return up.passed > 100 && down.passed > 100;
  });
});

test('a reloaded page is back as the same participant', { timeout: 60_000 }, async (t) => {
  const self = await selfOf(bob);
  const started = performance.now();
  await bob.page.reload();
  await bob.page.getByRole('button', { name: 'Leave', exact: true }).waitFor();
  assert.equal(await selfOf(bob), self);
  await together();
  report(t, 'back in the meeting after a reload', performance.now() - started);
  assert.deepEqual(await bobsAtAda(), [self], 'one Bob, the same');
});

test('five seconds without network: back as the same participant, missed chat once', { timeout: 90_000 }, async (t) => {
  const self = await selfOf(bob);
  const offers = await ada.page.evaluate(() => window.__kit.sdp.local);
  await sendChat(ada, 'before the cut');
  await seesChat(bob, 'before the cut');

  proxy.cut();
  const cut = performance.now();
  await sendChat(ada, 'during the cut');
  await until('the cut to have lasted', () => performance.now() - cut >= CUT_MS);
  assert.equal(await bob.page.getByText('during the cut', { exact: true }).count(), 0, 'the cut holds');
  proxy.heal();
  const healed = performance.now();

  await seesChat(bob, 'during the cut', 1, { timeout: 30_000 });
  report(t, 'chat again after the network came back', performance.now() - healed);
  await seesMotion(bob, 'Ada', 0, { timeout: 30_000 });
  await seesMotion(ada, 'Bob', 1, { timeout: 30_000 });
  report(t, 'pictures again after the network came back', performance.now() - healed);
  await together();
  assert.equal(await selfOf(bob), self);
  assert.deepEqual(await bobsAtAda(), [self], 'one Bob, the same');
  await seesChat(bob, 'before the cut');
  await sendChat(bob, 'after the cut');
  await seesChat(ada, 'after the cut');
  assert.equal(await ada.page.evaluate(() => window.__kit.sdp.local), offers, 'the others made no offer for it');
});

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { BACKOFF_MAX_MS } from '../js/protocol/backoff.js';
import { FEED_SILENCE_MAX_MS, Feed, SOCKET_AGAIN_MS, SUBSCRIBED_MAX_MS } from '../js/protocol/feed.js';
import { ApiError } from '../js/protocol/http.js';
import { FakeClock, FakeNetwork, settled } from './kit/fakes.js';
import { goldens } from './kit/golden.js';

const EVENT = goldens('server').get('server.chatEvent');
const UNCLEAN = 1006;

let clock;
let network;
let polls;
let feed;
let heard;
let links;
let reloads;
let refusals;

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork();
  [polls, heard, links] = [[], [], []];
  [reloads, refusals] = [0, 0];
  feed = new Feed(
    {
      openSocket: network.open('socket'),
      poll: (cursor, wait, signal) =>
        new Promise((resolve, reject) => {
          polls.push({ cursor, wait, signal, answer: (value, next) => resolve({ value, cursor: next }), fail: reject });
        }),
      setTimer: clock.setTimer,
      clearTimer: clock.clearTimer,
      now: clock.now,
      random: () => 0.5,
    },
    {
      receive: (message) => heard.push(message),
      reload: () => (reloads += 1),
      link: (link) => links.push(link),
      refused: () => (refusals += 1),
    },
  );
});

const open = () => network.last.events.opened();
const subscribed = (cursor) => network.last.events.received({ type: 'subscribed', cursor });
const says = (message) => network.last.events.received(message);
const lose = (code = UNCLEAN) => network.last.events.ended(code);
const event = (cursor) => ({ ...EVENT, cursor });
const retry = () => clock.advance(BACKOFF_MAX_MS);

function connect(cursor = 'e-1') {
  feed.start();
  open();
  subscribed(cursor);
}

/** Two sockets fail; the first poll is under way. */
function blocked() {
  feed.start();
  lose();
  retry();
  lose();
  retry();
}

test('it subscribes from now on, and the lists are read once', () => {
  connect();
  assert.deepEqual(network.last.sent, [{ type: 'subscribe' }]);
  assert.equal(reloads, 1);
  assert.deepEqual(links.at(-1), { phase: 'open', attempt: 0, transport: 'socket' });
});

test('a lost socket comes back with the cursor of what was heard, without reading the lists', () => {
  connect('e-1');
  says(event('e-7'));
  lose();
  assert.equal(links.at(-1).phase, 'waiting');
  retry();
  open();
  assert.deepEqual(network.last.sent, [{ type: 'subscribe', cursor: 'e-7' }]);
  subscribed('e-7');
  assert.deepEqual([heard.length, reloads], [1, 1]);
});

test('a feed without news comes back with the cursor that it began with', () => {
  connect('e-3');
  lose();
  retry();
  open();
  assert.deepEqual(network.last.sent, [{ type: 'subscribe', cursor: 'e-3' }]);
});

test('two sockets that fail make it poll, and the cursor goes along', async () => {
  connect('e-1');
  says(event('e-5'));
  lose();
  retry();
  lose();
  retry();
  assert.equal(network.carriers.length, 3, 'one that was open and one failure are not enough to poll');
  lose();
  retry();
  assert.equal(network.carriers.length, 3);
  assert.deepEqual([polls[0].cursor, polls[0].wait], ['e-5', 0], 'the first poll asks whether there is a way at all');
  polls[0].answer([event('e-6')], 'e-6');
  await settled();
  assert.deepEqual(links.at(-1), { phase: 'open', attempt: 0, transport: 'poll' });
  assert.equal(polls[1].cursor, 'e-6');
  assert.ok(polls[1].wait > 0);
  assert.deepEqual(heard.map(({ cursor }) => cursor), ['e-5', 'e-6']);
});

test('a feed that begins by poll reads the lists, and typing has no cursor', async () => {
  blocked();
  assert.equal(polls[0].cursor, null);
  polls[0].answer([], 'e-9');
  await settled();
  assert.equal(reloads, 1);
  polls[1].answer([{ type: 'typing', chatId: 'thr_1', userId: 'usr_1' }], 'e-9');
  await settled();
  assert.equal(polls[2].cursor, 'e-9');
  assert.equal(heard[0].type, 'typing');
});

test('a socket that works again takes over at the cursor, and the poll ends', async () => {
  blocked();
  polls[0].answer([event('e-2')], 'e-2');
  await settled();
  const before = network.carriers.length;
  clock.advance(SOCKET_AGAIN_MS);
  assert.equal(network.carriers.length, before + 1);
  open();
  assert.deepEqual(network.last.sent, [{ type: 'subscribe', cursor: 'e-2' }]);
  assert.equal(polls[1].signal.aborted, false, 'the poll goes on until the socket is there');
  subscribed('e-2');
  assert.equal(polls[1].signal.aborted, true);
  polls[1].answer([event('e-3')], 'e-3');
  await settled();
  assert.equal(heard.length, 1, 'what an ended poll brings is not taken');
  says(event('e-3'));
  assert.equal(heard.length, 2);
  assert.deepEqual(links.at(-1), { phase: 'open', attempt: 0, transport: 'socket' });
});

test('a probe that fails leaves the poll alone, and another follows', async () => {
  blocked();
  polls[0].answer([], 'e-2');
  await settled();
  clock.advance(SOCKET_AGAIN_MS);
  const probe = network.carriers.length;
  lose();
  assert.deepEqual([polls[1].signal.aborted, links.at(-1).transport], [false, 'poll']);
  clock.advance(SOCKET_AGAIN_MS);
  assert.equal(network.carriers.length, probe + 1);
  assert.equal(feed.isOpen, true);
});

test('a poll that fails as well begins again with a socket', async () => {
  blocked();
  polls[0].fail(new ApiError(0, 'unreachable', '', ''));
  await settled();
  const before = network.carriers.length;
  retry();
  assert.equal(network.carriers.length, before + 1);
  assert.equal(links.at(-1).transport, 'socket');
});

test('answers that come at once without news are not asked for in a tight loop', async () => {
  blocked();
  polls[0].answer([], 'e-2');
  await settled();
  polls[1].answer([], 'e-2');
  await settled();
  assert.equal(polls.length, 2);
  clock.advance(1_000);
  await settled();
  assert.equal(polls.length, 3);
});

test('resync reads the lists anew and goes on from its cursor', () => {
  connect('e-1');
  says({ type: 'resync', cursor: 'f-40' });
  assert.equal(reloads, 2);
  lose();
  retry();
  open();
  assert.equal(network.last.sent[0].cursor, 'f-40');
});

test('a session that is over ends it, by either way', async () => {
  feed.start();
  open();
  lose(4001);
  clock.advance(60_000);
  assert.deepEqual([refusals, network.carriers.length], [1, 1]);
});

test('a poll that is refused ends it', async () => {
  blocked();
  polls[0].fail(new ApiError(401, 'unauthenticated', '', ''));
  await settled();
  const before = network.carriers.length;
  clock.advance(600_000);
  assert.deepEqual([refusals, network.carriers.length], [1, before]);
});

test('pings are answered, and silence is a lost connection', () => {
  connect();
  says({ type: 'ping' });
  assert.deepEqual(network.last.sent.at(-1), { type: 'pong' });
  clock.advance(FEED_SILENCE_MAX_MS - 5_000);
  assert.deepEqual(network.last.sent.at(-1), { type: 'ping' }, 'before it is given up, it is asked');
  clock.advance(10_000);
  assert.ok(network.carriers[0].closed);
});

test('a socket that opens and says nothing is given up', () => {
  feed.start();
  open();
  clock.advance(SUBSCRIBED_MAX_MS);
  assert.equal(links.at(-1).phase, 'waiting');
  assert.ok(network.last.closed);
});

test('a changed network tries at once, and asks an open socket whether it lives', () => {
  connect();
  clock.advance(1);
  feed.networkChanged();
  assert.deepEqual(network.last.sent.at(-1), { type: 'ping' });
  clock.advance(4_000);
  assert.equal(links.at(-1).phase, 'waiting');
  feed.networkChanged();
  assert.equal(network.carriers.length, 2);
});

test('a changed network asks anew by poll, and the feed stays open', async () => {
  blocked();
  polls[0].answer([], 'e-2');
  await settled();
  feed.networkChanged();
  assert.deepEqual([polls[1].signal.aborted, polls[2].wait, feed.isOpen], [true, 0, true]);
  polls[2].answer([event('e-3')], 'e-3');
  await settled();
  assert.deepEqual([heard.length, polls[3].cursor, polls[3].wait > 0], [1, 'e-3', true]);
});

test('late news of an old socket and of a closed feed are not taken', () => {
  connect();
  const [first] = network.carriers;
  lose();
  first.events.received(event('e-9'));
  retry();
  first.events.ended(UNCLEAN);
  assert.deepEqual([heard.length, links.at(-1).phase], [0, 'connecting']);
  feed.close();
  network.last.events.opened();
  network.last.events.ended(UNCLEAN);
  clock.advance(60_000);
  assert.equal(network.carriers.length, 2);
});

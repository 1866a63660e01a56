import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, backoff } from '../js/protocol/backoff.js';
import { Connection, SILENCE_MAX_MS } from '../js/protocol/connection.js';
import * as messages from '../js/protocol/messages.js';
import { FakeClock, FakeNetwork, settled } from './kit/fakes.js';
import { goldens } from './kit/golden.js';

const WELCOME = goldens('server').get('server.welcome');
const UNCLEAN = 1006;

let clock;
let network;
let connection;
let received;
let links;
let endings;
let cursor;

beforeEach(() => {
  clock = new FakeClock();
  network = new FakeNetwork();
  received = [];
  links = [];
  endings = [];
  cursor = 0;
  connection = new Connection(
    {
      openSocket: network.open('socket'),
      openPoll: network.open('poll'),
      setTimer: clock.setTimer,
      clearTimer: clock.clearTimer,
      now: clock.now,
      random: () => 0.5,
    },
    {
      cursor: () => cursor,
      receive: (message) => received.push(message),
      link: (link) => links.push(link),
      ended: (reason) => endings.push(reason),
    },
  );
});

const open = () => network.last.events.opened();
const welcome = () => network.last.events.received(WELCOME);
const lose = (code = UNCLEAN) => network.last.events.ended(code);
const sentTypes = () => network.last.sent.map(({ type }) => type);

async function connect() {
  connection.start('token');
  open();
  await settled();
  welcome();
}

test('the wait before a retry grows, stays within its limits and follows chance', () => {
  for (let attempt = 1; attempt < 40; attempt += 1) {
    assert.ok(backoff(attempt, 0) >= BACKOFF_MIN_MS);
    assert.ok(backoff(attempt, 0.999_999) <= BACKOFF_MAX_MS);
  }
  assert.ok(backoff(1, 0.9) < backoff(3, 0.9));
  assert.notEqual(backoff(5, 0.1), backoff(5, 0.9));
});

test('hello is the first message and carries token and cursor', async () => {
  cursor = 17;
  connection.start('token');
  connection.send(messages.ping());
  open();
  await settled();
  assert.deepEqual(network.last.sent, [messages.hello('token', 17)]);
  assert.equal(connection.isOpen, false);
  welcome();
  assert.equal(connection.isOpen, true);
  assert.deepEqual(received, [WELCOME]);
});

test('the socket opens while the token is still on its way', async () => {
  let give;
  connection.start(new Promise((resolve) => (give = resolve)));
  open();
  await settled();
  assert.deepEqual(network.last.sent, []);
  give('late');
  await settled();
  assert.deepEqual(network.last.sent, [messages.hello('late', 0)]);
});

test('an early request follows the hello and does not wait for the welcome', async () => {
  connection.start('token');
  const offered = connection.request((id) => messages.offer(id, 'v=0', []), { early: true });
  await settled();
  assert.deepEqual(network.last.sent, [], 'nothing is said before hello');
  open();
  await settled();
  assert.deepEqual(sentTypes(), ['hello', 'offer']);
  const second = connection.request((id) => messages.offer(id, 'v=0', []), { early: true });
  assert.deepEqual(sentTypes(), ['hello', 'offer', 'offer'], 'the hello is out: at once');
  welcome();
  assert.equal(sentTypes().length, 3, 'none is sent twice');
  network.last.events.received({ type: 'answer', id: network.last.sent[1].id, sdp: 'v=0', slots: [], publications: [] });
  assert.equal((await offered).type, 'answer');
  lose();
  await assert.rejects(second, { code: 'connection_lost' }, 'it is not kept for the next connection');
});

test('a ping is answered at once', async () => {
  await connect();
  network.last.events.received({ type: 'ping' });
  assert.equal(sentTypes().at(-1), 'pong');
});

test('a lost connection comes back with the cursor of what was seen', async () => {
  await connect();
  cursor = 5;
  lose();
  assert.deepEqual(links.at(-1), { phase: 'waiting', attempt: 1, transport: 'socket' });
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  assert.equal(network.carriers.length, 2);
  assert.deepEqual(network.last.sent, [messages.hello('token', 5)]);
  welcome();
  assert.equal(links.at(-1).phase, 'open');
});

test('twenty seconds of silence count as a lost connection, and we ask before', async () => {
  await connect();
  const first = network.last;
  clock.advance(SILENCE_MAX_MS - 3_000);
  assert.ok(first.sent.some(({ type }) => type === 'ping'));
  assert.equal(first.closed, false);
  clock.advance(6_000);
  assert.equal(first.closed, true);
});

test('any frame keeps the connection', async () => {
  await connect();
  const first = network.last;
  for (let n = 0; n < 10; n += 1) {
    clock.advance(9_000);
    first.events.received({ type: 'ping' });
  }
  assert.equal(first.closed, false);
});

test('late news of an old carrier changes nothing', async () => {
  await connect();
  const old = network.last;
  lose();
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  welcome();
  const count = received.length;
  old.events.received(WELCOME);
  old.events.ended(4003);
  assert.equal(received.length, count);
  assert.deepEqual(endings, []);
});

test('the network coming back ends the wait at once', async () => {
  await connect();
  lose();
  assert.equal(network.carriers.length, 1);
  connection.networkChanged();
  assert.equal(network.carriers.length, 2);
});

test('after a change of network an old connection must answer soon', async () => {
  await connect();
  clock.advance(1_000);
  connection.networkChanged();
  assert.equal(sentTypes().at(-1), 'ping');
  clock.advance(5_000);
  assert.equal(network.carriers[0].closed, true);
});

test('a connection without welcome is given up after ten seconds', () => {
  connection.start('token');
  clock.advance(10_000);
  assert.equal(network.carriers[0].closed, true);
  assert.equal(links.at(-1).phase, 'waiting');
});

test('two sockets without welcome lead to the long poll, and a failed poll back to the socket', async () => {
  connection.start('token');
  lose();
  clock.advance(BACKOFF_MAX_MS);
  lose();
  clock.advance(BACKOFF_MAX_MS);
  await settled();
  assert.deepEqual(network.carriers.map(({ kind }) => kind), ['socket', 'socket', 'poll']);
  lose();
  clock.advance(BACKOFF_MAX_MS);
  assert.equal(network.last.kind, 'socket');
});

test('a poll that worked once is tried again after a loss', async () => {
  connection.start('token');
  lose();
  clock.advance(BACKOFF_MAX_MS);
  lose();
  clock.advance(BACKOFF_MAX_MS);
  await settled();
  open();
  await settled();
  welcome();
  lose();
  clock.advance(BACKOFF_MAX_MS);
  await settled();
  assert.equal(network.last.kind, 'poll');
});

test('an answer finds its request, an error rejects it', async () => {
  await connect();
  const good = connection.request((id) => messages.mute(id, 'camera', true));
  const bad = connection.request((id) => messages.record(id, 'start'));
  const [first, second] = network.last.sent.slice(-2);
  network.last.events.received({ type: 'error', id: second.id, code: 'not_allowed', message: 'Only the organiser may.' });
  network.last.events.received({ type: 'ack', id: first.id });
  assert.equal((await good).type, 'ack');
  await assert.rejects(bad, { code: 'not_allowed', message: 'Only the organiser may.' });
});

test('a request without answer times out', async () => {
  await connect();
  const request = connection.request((id) => messages.mute(id, 'camera', true), { timeoutMs: 1_000 });
  clock.advance(1_000);
  await assert.rejects(request, { code: 'timeout' });
});

test('an ordinary request ends with its connection and needs one to begin', async () => {
  await assert.rejects(connection.request((id) => messages.leave(id)), { code: 'not_connected' });
  await connect();
  const request = connection.request((id) => messages.mute(id, 'camera', true));
  lose();
  await assert.rejects(request, { code: 'connection_lost' });
});

test('an unacknowledged chat message goes out again after a reconnection, with the same name, until it is acknowledged', async () => {
  await connect();
  const sent = connection.request((id) => messages.chat(id, 'c-1', 'hello'), { durable: true });
  const first = network.last.sent.at(-1);
  lose();
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  assert.deepEqual(sentTypes(), ['hello'], 'nothing before the welcome');
  welcome();
  assert.deepEqual(network.last.sent.at(-1), first);
  network.last.events.received({ type: 'ack', id: first.id, seq: 8 });
  assert.equal((await sent).seq, 8);

  lose();
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  welcome();
  assert.deepEqual(sentTypes(), ['hello'], 'once acknowledged it is not sent again');
});

test('a chat message written without a connection waits for one', async () => {
  connection.start('token');
  const sent = connection.request((id) => messages.chat(id, 'c-1', 'hello'), { durable: true, timeoutMs: 1_000 });
  clock.advance(5_000);
  open();
  await settled();
  welcome();
  const chat = network.last.sent.at(-1);
  assert.equal(chat.type, 'chat');
  network.last.events.received({ type: 'ack', id: chat.id, seq: 2 });
  assert.equal((await sent).seq, 2);
});

test('what is asked while the welcome is taken goes out once', async () => {
  connection = new Connection(
    {
      openSocket: network.open('socket'),
      openPoll: network.open('poll'),
      setTimer: clock.setTimer,
      clearTimer: clock.clearTimer,
      now: clock.now,
      random: () => 0.5,
    },
    {
      cursor: () => 0,
      receive: ({ type }) => {
        if (type === 'welcome') void connection.request((id) => messages.offer(id, 'v=0', []));
      },
      link: () => {},
      ended: () => {},
    },
  );
  await connect();
  assert.deepEqual(sentTypes(), ['hello', 'offer']);
});

test('a removed participant does not come back by itself', async () => {
  for (const [code, reason] of [[4001, 'refused'], [4003, 'removed'], [4004, 'replaced'], [4006, 'meetingEnded']]) {
    endings = [];
    network = new FakeNetwork();
    const ended = [];
    const one = new Connection(
      { openSocket: network.open('socket'), openPoll: network.open('poll'), setTimer: clock.setTimer, clearTimer: clock.clearTimer, now: clock.now, random: () => 0 },
      { cursor: () => 0, receive: () => {}, link: () => {}, ended: (why) => ended.push(why) },
    );
    one.start('token');
    lose(code);
    clock.advance(60_000);
    assert.deepEqual(ended, [reason]);
    assert.equal(network.carriers.length, 1);
  }
});

test('a server that is going away or dropped us for slowness is come back to', async () => {
  for (const code of [1001, 4005, 4000]) {
    network = new FakeNetwork();
    const one = new Connection(
      { openSocket: network.open('socket'), openPoll: network.open('poll'), setTimer: clock.setTimer, clearTimer: clock.clearTimer, now: clock.now, random: () => 0 },
      { cursor: () => 0, receive: () => {}, link: () => {}, ended: () => assert.fail('it ended') },
    );
    one.start('token');
    open();
    await settled();
    welcome();
    lose(code);
    clock.advance(BACKOFF_MAX_MS);
    assert.equal(network.carriers.length, 2, `${code}`);
  }
});

test('the removed message ends it before the close comes', async () => {
  await connect();
  network.last.events.received({ type: 'removed', reason: 'meetingEnded' });
  assert.deepEqual(endings, ['meetingEnded']);
});

test('resync gives up the connection and continues from the cursor', async () => {
  await connect();
  cursor = 3;
  network.last.events.received({ type: 'resync' });
  assert.equal(network.carriers[0].closed, true);
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  assert.equal(network.last.sent[0].cursor, 3);
});

test('a connection that dies at once does not reset the back-off', async () => {
  await connect();
  lose();
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  welcome();
  lose();
  assert.equal(links.at(-1).attempt, 2);
  clock.advance(BACKOFF_MAX_MS);
  open();
  await settled();
  welcome();
  clock.advance(6_000);
  lose();
  assert.equal(links.at(-1).attempt, 1);
});

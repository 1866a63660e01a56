import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REMOVED, TOKEN_REFUSED, UNCLEAN_END, pollCarrier } from '../js/protocol/carriers.js';
import { ApiError } from '../js/protocol/http.js';
import { settled } from './kit/fakes.js';

/** A server of which each test answers the polls by hand. */
function server() {
  const polls = [];
  const exchange = (body) =>
    new Promise((resolve, reject) => {
      polls.push({ body, answer: (messages, next, closed) => resolve({ session: 'ses_1', messages, next, closed }), fail: reject });
    });
  return { polls, exchange };
}

function carrier(exchange) {
  const received = [];
  const ended = [];
  const events = { opened: () => {}, received: (value) => received.push(value), ended: (code) => ended.push(code) };
  return { received, ended, ...pollCarrier(exchange, events) };
}

test('the first poll opens the session with hello and does not wait', async () => {
  const { polls, exchange } = server();
  const one = carrier(exchange);
  one.send({ type: 'hello' });
  assert.deepEqual(polls[0].body, { session: null, after: 0, send: [{ type: 'hello' }], wait: 0 });
  polls[0].answer([{ type: 'welcome' }], 1);
  await settled();
  assert.deepEqual(one.received, [{ type: 'welcome' }]);
  assert.deepEqual({ ...polls[1].body, wait: polls[1].body.wait > 0 }, { session: 'ses_1', after: 1, send: [], wait: true });
});

test('messages given again by two polls are received once, in order', async () => {
  const { polls, exchange } = server();
  const one = carrier(exchange);
  one.send({ type: 'hello' });
  polls[0].answer([1], 1);
  await settled();
  one.send({ type: 'chat' });
  assert.equal(polls.length, 3, 'an idle poll and one that sends');
  polls[2].answer([2, 3], 3);
  await settled();
  polls[1].answer([2], 2);
  await settled();
  assert.deepEqual(one.received, [1, 2, 3]);
  assert.equal(polls.at(-1).body.after, 3);
});

test('what is sent keeps its order, one poll after the other', async () => {
  const { polls, exchange } = server();
  const one = carrier(exchange);
  one.send('a');
  one.send('b');
  one.send('c');
  assert.deepEqual(polls.map(({ body }) => body.send), [['a']]);
  polls[0].answer([], 0);
  await settled();
  assert.deepEqual(polls[1].body.send, ['b', 'c']);
});

test('a refused token and a lost network end it differently, each once', async () => {
  for (const [error, code] of [
    [new ApiError(401, 'unauthenticated', '', ''), TOKEN_REFUSED],
    [new ApiError(403, 'removed', '', ''), REMOVED],
    [new ApiError(0, 'unreachable', '', ''), UNCLEAN_END],
    [new ApiError(404, 'no_session', '', ''), UNCLEAN_END],
  ]) {
    const { polls, exchange } = server();
    const one = carrier(exchange);
    one.send('hello');
    polls[0].fail(error);
    await settled();
    assert.deepEqual(one.ended, [code]);
  }
});

test('an answer that closes the session gives its messages first, then the code, once', async () => {
  const { polls, exchange } = server();
  const one = carrier(exchange);
  one.send('hello');
  polls[0].answer([{ type: 'removed' }], 1, 4003);
  await settled();
  assert.deepEqual(one.received, [{ type: 'removed' }]);
  assert.deepEqual(one.ended, [4003]);
  assert.equal(polls.length, 1);
});

test('one poll carries at most 64 messages', async () => {
  const { polls, exchange } = server();
  const one = carrier(exchange);
  one.send('first');
  for (let n = 0; n < 100; n += 1) one.send(n);
  for (const at of [0, 1, 2]) {
    polls[at].answer([], 0);
    await settled();
  }
  assert.deepEqual(polls.slice(0, 3).map(({ body }) => body.send.length), [1, 64, 36]);
});

test('a closed carrier says nothing more', async () => {
  const { polls, exchange } = server();
  const one = carrier(exchange);
  one.send('hello');
  one.close();
  polls[0].answer([1], 1);
  await settled();
  assert.deepEqual([one.received, one.ended], [[], []]);
  assert.equal(polls.length, 1);
});

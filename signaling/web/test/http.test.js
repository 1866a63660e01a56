/** Calls that come too soon: waited for and made again, unless the wait is long or nobody wants the answer any more. */

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { ApiError, call } from '../js/protocol/http.js';

/** A server that gives these answers in turn. @param {import('node:test').TestContext} t @param {Response[]} answers */
function serverOf(t, answers) {
  /** @type {RequestInit[]} */
  const asked = [];
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ _path, /** @type {RequestInit} */ init) => {
    asked.push(init);
    const answer = answers.shift();
    assert.ok(answer, 'asked once too often');
    return answer;
  });
  return asked;
}

/** @param {string} [seconds] */
const tooMany = (seconds) =>
  new Response('{"error":{"code":"too_many_requests","message":"Wait."}}', { status: 429, headers: seconds === undefined ? {} : { 'retry-after': seconds } });

/** Lets what waits go on until a call is answered. @template T @param {Promise<T>} answer */
async function inVirtualTime(answer) {
  let isOver = false;
  const settled = answer.finally(() => (isOver = true));
  settled.catch(() => undefined);
  while (!isOver) {
    await Promise.resolve();
    mock.timers.tick(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return settled;
}

test('a call that came too soon waits as long as it is told and is made again with the same body', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.after(() => mock.timers.reset());
  const asked = serverOf(t, [tooMany('1'), tooMany('2'), new Response('{"id":1}', { status: 201 })]);
  const began = Date.now();
  assert.deepEqual(await inVirtualTime(call('POST', '/v1/chats', { body: { topic: 'a' } })), { id: 1 });
  assert.ok(Date.now() - began >= 3000, `${Date.now() - began} ms`);
  assert.deepEqual(asked.map(({ body }) => body), Array(3).fill('{"topic":"a"}'));
});

test('a call is given up when it was too soon four times, when the wait is long, and when none is named', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.after(() => mock.timers.reset());
  for (const [answers, times] of /** @type {[Response[], number][]} */ ([
    [[tooMany('1'), tooMany('1'), tooMany('1'), tooMany('1')], 4],
    [[tooMany('60')], 1],
    [[tooMany()], 1],
    [[tooMany('Tue, 01 Dec 2026 00:00:00 GMT')], 1],
  ])) {
    const asked = serverOf(t, answers);
    await assert.rejects(inVirtualTime(call('GET', '/v1/me')), (error) => error instanceof ApiError && error.code === 'too_many_requests');
    assert.equal(asked.length, times);
    t.mock.restoreAll();
  }
});

test('nobody waits for a call that is not wanted any more', async (t) => {
  const asked = serverOf(t, [tooMany('5')]);
  const stop = new AbortController();
  const answer = call('GET', '/v1/me', { signal: stop.signal });
  setImmediate(() => stop.abort());
  await assert.rejects(answer, ApiError);
  assert.equal(asked.length, 1);
});

/** Calls to one's own number: how long they ring, how they are answered and declined. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Callers } from '../js/app/callers.js';
import { keepAnswer, lendWanted, rememberWanted, rememberedWanted, takeAnswer, wantedAnew } from '../js/app/place.js';
import { Ringing } from '../js/app/ringing.js';
import { ApiError } from '../js/protocol/http.js';
import { parseFeedMessage } from '../js/protocol/feed-messages.js';
import { callerNumber } from '../js/protocol/phones-http.js';
import { expire, ring } from '../js/state/ringing.js';
import { phones } from '../js/text/en-phone.js';
import { telOf } from '../js/text/format.js';
import { around } from '../js/ui/call-line.js';
import { lineOf } from '../js/ui/chat-words.js';
import { goldens } from './kit/golden.js';

const START = Date.parse('2026-11-24T13:35:20.000Z');
const at = (seconds) => new Date(START + seconds * 1_000).toISOString();

const event = (state, more = {}) => ({ seq: 1, id: 'evt_1', time: at(0), kind: 'phoneCall', callId: 'a', meetingId: 'm', caller: '+49••78', state, ...more });
const ringing = (more) => event('ringing', { until: at(20), ...more });
const ids = (calls) => calls.map(({ callId }) => callId);
const said = (one) => ({ type: 'chatEvent', cursor: 'e-1', chatId: 'c', event: one });

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START }));
afterEach(() => mock.reset());

/** @param {object} [api] @param {object} [within] A meeting. */
function page(api = {}, within = {}) {
  const asked = [];
  const ask = (name, answer) => async (...args) => (asked.push([name, ...args]), answer);
  const all = {
    listMeetings: ask('list', { value: [] }),
    readMeeting: ask('read', { joinWebUrl: 'https://plenum.test/join/secret' }),
    begin: ask('begin', []),
    decline: ask('decline', undefined),
    callerNumber: async () => null,
    ...api,
  };
  const calls = new Ringing({ api: all, go: (path) => asked.push(['go', path]), explain: () => 'words', ...within });
  return { calls, asked, now: () => ids(calls.store.state) };
}

test('a call rings until anything else becomes of it', () => {
  for (const state of ['answered', 'declined', 'message', 'missed']) {
    const calls = ring([], ringing(), START);
    assert.deepEqual([ids(calls), ids(ring(calls, event(state), START))], [['a'], []], state);
  }
});

test('a call that rang before, and one that says no end, do not ring', () => {
  assert.deepEqual(ring([], ringing({ until: at(-1) }), START), []);
  assert.deepEqual(ring([], event('ringing'), START), []);
  const calls = ring([], ringing(), START);
  assert.equal(expire(calls, START + 19_999), calls);
  assert.deepEqual(expire(calls, START + 20_000), []);
});

test('no more than three ring, the newest', () => {
  const calls = ['a', 'b', 'c', 'd'].reduce((before, callId) => ring(before, ringing({ callId }), START), []);
  assert.deepEqual(ids(calls), ['b', 'c', 'd']);
});

test('the notice goes by itself when nobody says what became of the call', () => {
  const { calls, now } = page();
  calls.take(said(ringing()));
  mock.timers.tick(19_000);
  assert.deepEqual(now(), ['a']);
  mock.timers.tick(2_000);
  assert.deepEqual(now(), []);
});

test('what the server says of a call is read, and other news is no call', () => {
  const golden = goldens('server').get('server.event.phoneCall').event;
  const message = parseFeedMessage(said(golden));
  assert.ok(message);
  const { calls, now } = page();
  calls.take(message);
  calls.take({ type: 'typing', chatId: 'c', userId: 'u' });
  assert.deepEqual(now(), [golden.callId]);
  assert.equal(parseFeedMessage(said({ ...golden, state: 'sings' })), null);
});

test('a page that is opened while it rings rings, and one that is opened later does not', async () => {
  const meeting = (chatId, seconds) => ({ id: `m-${chatId}`, chatId, createdDateTime: at(seconds) });
  const events = { new: [ringing()], over: [ringing({ callId: 'b' }), event('declined', { callId: 'b' })] };
  const value = [meeting('new', -5), meeting('over', -60), meeting('old', -600)];
  const { calls, now } = page({ listMeetings: async () => ({ value }), begin: async (chatId) => events[chatId] });
  await calls.look();
  assert.deepEqual(now(), ['a']);
});

test('to answer is to join the meeting of the call', async () => {
  const { calls, asked } = page();
  calls.take(said(ringing()));
  assert.equal(await calls.answer(calls.store.state[0]), '');
  assert.deepEqual(asked, [['read', 'm'], ['go', '/join/secret']]);
});

/** What this tab keeps. @returns {Map<string, string>} */
function storage() {
  const kept = new Map();
  globalThis.sessionStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  return kept;
}
afterEach(() => delete globalThis.sessionStorage);

test('an answer brings into the meeting of the call, once, and soon', () => {
  const kept = storage();
  assert.equal(takeAnswer('secret'), false);
  keepAnswer('secret');
  assert.deepEqual([takeAnswer('secret'), takeAnswer('secret')], [true, false]);
  keepAnswer('secret');
  assert.deepEqual([takeAnswer('another'), takeAnswer('secret')], [false, false], 'another meeting was opened meanwhile');
  keepAnswer('secret');
  mock.timers.tick(20_000);
  assert.equal(takeAnswer('secret'), false, 'opened by hand, later');
  kept.set('plenum.answer', '{"secret":"secret"}');
  assert.equal(takeAnswer('secret'), false);
});

test('what a call is answered with is for the call alone', () => {
  storage();
  rememberWanted({ microphone: false, camera: true });
  const byPhone = { microphone: true, camera: false };
  lendWanted(byPhone);
  assert.deepEqual(rememberedWanted(), byPhone, 'also when it is reloaded');
  lendWanted(byPhone);
  assert.deepEqual([wantedAnew(), wantedAnew(), rememberedWanted()], Array(3).fill({ microphone: false, camera: true }));
});

test('within a meeting other calls ring, and not the one that made it', () => {
  const { calls, now } = page({}, { isHere: (meetingId) => meetingId === 'here' });
  calls.take(said(ringing({ meetingId: 'here' })));
  assert.deepEqual(now(), []);
  calls.take(said(ringing({ callId: 'b' })));
  assert.deepEqual(now(), ['b']);
});

test('a meeting is left only when it is known where the call is', async () => {
  const left = [];
  const within = { go: async (path) => left.push(path) };
  const lost = page({ readMeeting: () => Promise.reject(new ApiError(503, '', '', '')) }, within);
  lost.calls.take(said(ringing()));
  assert.equal(await lost.calls.answer(lost.calls.store.state[0]), 'words');
  assert.deepEqual(left, []);
  const { calls } = page({}, within);
  calls.take(said(ringing()));
  assert.equal(await calls.answer(calls.store.state[0]), '');
  assert.deepEqual(left, ['/join/secret']);
});

test('to decline is to hang up, and a call that is over was declined', async () => {
  const { calls, asked, now } = page();
  calls.take(said(ringing()));
  assert.equal(await calls.decline(calls.store.state[0]), '');
  assert.deepEqual([asked, now()], [[['decline', 'm', 'a']], []]);
  const refused = (status) => page({ decline: () => Promise.reject(new ApiError(status, '', '', '')) });
  for (const [status, problem, left] of [[404, '', []], [503, 'words', ['a']]]) {
    const other = refused(status);
    other.calls.take(said(ringing()));
    assert.deepEqual([await other.calls.decline(other.calls.store.state[0]), other.now()], [problem, left], status);
  }
});

/** What was asked for has come. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('whoever is called sees the number whole once it is known, and masked until then and when it cannot be had', async () => {
  const callers = (calls) => calls.store.state.map(({ caller }) => caller);
  const asked = [];
  const { calls } = page({ callerNumber: async (...call) => (asked.push(call), '+49305678') });
  calls.take(said(ringing()));
  assert.deepEqual(callers(calls), ['+49••78']);
  await settled();
  assert.deepEqual(callers(calls), ['+49305678']);
  // Told once more, by the list that was read at the beginning.
  calls.take(said(ringing()));
  await settled();
  assert.deepEqual([callers(calls), asked], [['+49305678'], [['m', 'a']]]);
  for (const callerNumber of [async () => null, () => Promise.reject(new ApiError(503, '', '', ''))]) {
    const other = page({ callerNumber });
    other.calls.take(said(ringing()));
    await settled();
    assert.deepEqual(callers(other.calls), ['+49••78']);
  }
  const late = page({ callerNumber: async () => '+49305678' });
  late.calls.take(said(ringing()));
  late.calls.take(said(event('missed')));
  await settled();
  assert.deepEqual(late.now(), [], 'a number brings no call back');
});

test('a number is asked for once, and again only if it could not be had', async () => {
  let answers = [() => Promise.reject(new Error('gone')), async () => '+49305678'];
  let asked = 0;
  const { number } = new Callers(() => (asked++, (answers.shift() ?? (async () => null))()));
  assert.equal(await number(event('missed')), null);
  assert.equal(await number(event('missed')), '+49305678');
  assert.equal(await number(event('ringing')), '+49305678', 'the same call');
  assert.equal(asked, 2);
  for (let i = 0; i < 200; i++) await number(event('missed', { callId: `c${i}` }));
  await number(event('missed'));
  assert.equal(asked, 203, 'of so many the first are forgotten');
});

test('the line of a call has the number as a link to call it, in the midst of its words', () => {
  const number = '+49305678';
  assert.deepEqual(around(phones.lines.missed(number), number), ['Missed call from ', '.']);
  assert.deepEqual(around(phones.lines.message(number), number), ['', ' left a message.']);
  assert.deepEqual(around('Somebody called.', number), ['Somebody called. ', '']);
  assert.equal(telOf('+49 (30) 56-78'), 'tel:+49305678');
});

test('the number is read from the call, and an answer without one is none', async () => {
  const bodies = [{ phoneNumber: '+49••78', callerNumber: '+49305678' }, { phoneNumber: '+49••78' }, { callerNumber: 7 }];
  const asked = [];
  mock.method(globalThis, 'fetch', async (path, { method, headers }) => {
    asked.push(`${method} ${path} by ${headers.authorization ?? 'session'}`);
    return new Response(JSON.stringify(bodies.shift()), { status: 200 });
  });
  assert.deepEqual([await callerNumber('m/1', 'a'), await callerNumber('m', 'a'), await callerNumber('m', 'a')], ['+49305678', null, null]);
  assert.equal(asked[0], 'GET /v1/onlineMeetings/m%2F1/phoneCalls/a by session');
});

test('the chat tells what became of each call', () => {
  const lines = ['ringing', 'answered', 'declined', 'message', 'missed'].map((state) => lineOf(event(state)));
  assert.equal(new Set(lines).size, 5);
  assert.equal(lines[4], 'Missed call from +49••78.');
  assert.equal(lineOf(event('missed', { caller: null })), 'Missed call from a hidden number.');
  assert.equal(phones.isCalling(null), 'Somebody with a hidden number is calling');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entriesOf, seenBy } from '../js/state/transcript.js';
import { BOB, ME, after, begin, body, chatIn, edited, felt, happened, news, own, page, read, said } from './kit/chats.js';

const at = (iso, event) => ({ ...event, time: iso });
const entries = (state) => entriesOf(chatIn(state, 'a'), ME);
const shape = (state) => entries(state).map(({ kind, first, event }) => (first === undefined ? (event?.kind ?? kind) : `${kind}${first ? ' first' : ''}`));

test('messages of one person within minutes are one group, and days begin with their mark', () => {
  const state = after(
    begin(body('a')),
    news(
      'a',
      at('2026-11-23T12:00:00Z', said(1)),
      at('2026-11-23T12:01:00Z', said(2)),
      at('2026-11-23T12:01:30Z', said(3, ME)),
      at('2026-11-23T12:20:00Z', said(4, ME)),
      at('2026-11-24T12:20:01Z', said(5, ME)),
    ),
  );
  assert.deepEqual(shape(state), ['day', 'message first', 'message', 'message first', 'message first', 'day', 'message first']);
});

test('what happened stands as a line and ends a group; marks and unknown kinds do not', () => {
  const state = after(begin(body('a')), news('a', said(1), felt(2, 1, 'like'), edited(3, 1, 'x'), happened(4, 'later'), said(5), happened(6, 'meetingStarted'), said(7)));
  assert.deepEqual(shape(state), ['day', 'message first', 'message', 'meetingStarted', 'message first']);
});

test('the divider stands before the first new message of somebody else', () => {
  const state = after(
    begin(body('a', { lastSeq: 2, unread: 1, viewpoint: { lastReadSeq: 1 } })),
    page('a', [said(1), said(2)], 3, 0),
    { type: 'opened', id: 'a' },
  );
  assert.deepEqual(shape(state), ['day', 'message first', 'new', 'message first']);
  const mine = after(begin(body('a', { lastSeq: 1, viewpoint: { lastReadSeq: 1 } })), { type: 'opened', id: 'a' }, news('a', said(2, ME), said(3)));
  assert.deepEqual(shape(mine), ['day', 'message first', 'new', 'message first']);
});

test('while the new part begins further back than what is here, there is no divider', () => {
  let state = after(begin(body('a', { lastSeq: 4, unread: 3, viewpoint: { lastReadSeq: 1 } })), { type: 'opened', id: 'a' }, page('a', [said(3), said(4)], 5, 2));
  assert.ok(!shape(state).includes('new'));
  state = after(state, page('a', [said(1), said(2)], 3, 0));
  assert.deepEqual(shape(state), ['day', 'message first', 'new', 'message first', 'message', 'message']);
});

test('an own message keeps its key from its sending to its arrival', () => {
  const queued = after(begin(body('a')), { type: 'queued', id: 'a', own: own('x', 'mine') });
  const arrived = after(queued, news('a', said(1, ME, 'mine', { clientMessageId: 'x' })));
  assert.equal(entries(queued).at(-1).key, entries(arrived).at(-1).key);
});

test('an answer knows what it answers when that is here', () => {
  const state = after(begin(body('a', { lastSeq: 4 })), news('a', said(5), said(6, ME, 'yes', { replyTo: 5 }), said(7, ME, 'no', { replyTo: 2 })));
  const answered = entries(state).filter(({ kind }) => kind === 'message').map((entry) => entry.answered && [entry.answered.seq, entry.answered.event?.text]);
  assert.deepEqual(answered, [null, [5, 'm5'], [2, undefined]]);
});

test('the newest own message says who has seen it', () => {
  const state = after(begin(body('a')), news('a', said(1, ME)));
  assert.deepEqual(seenBy(chatIn(state, 'a'), ME), []);
  const seen = after(state, read('a', BOB, 1), read('a', ME, 1));
  assert.deepEqual(seenBy(chatIn(seen, 'a'), ME), ['Bob']);
  assert.equal(seenBy(chatIn(after(seen, news('a', said(2))), 'a'), ME), null);
});

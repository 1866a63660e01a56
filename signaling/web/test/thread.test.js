import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_THREAD, addEvents, markRead, queue, resume, settle, unreadCount } from '../js/state/thread.js';
import { message } from './kit/state.js';

const seqs = ({ events }) => events.map(({ seq }) => seq);

test('events come in order, each once, however often they are given', () => {
  let thread = resume(EMPTY_THREAD, [message(3), message(1), message(2), message(2)], 3);
  thread = addEvents(thread, [message(2), message(4)]);
  thread = addEvents(thread, [message(4)]);
  assert.deepEqual(seqs(thread), [1, 2, 3, 4]);
  assert.equal(thread.cursor, 4);
});

test('a view may begin anywhere', () => {
  const thread = resume(EMPTY_THREAD, [message(40), message(41)], 41);
  assert.deepEqual(seqs(thread), [40, 41]);
  assert.equal(thread.gap, false);
});

test('what was changed or taken back outside of the call is so in it', () => {
  const by = { participantId: null, userId: 'usr_b', displayName: 'B' };
  const mark = (seq, more) => ({ seq, id: `evt_${seq}`, time: '2026-11-24T13:35:20.000Z', by, ...more });
  let thread = resume(EMPTY_THREAD, [message(1), message(2)], 2);
  thread = addEvents(thread, [mark(3, { kind: 'messageEdited', message: 1, text: 'new' }), mark(4, { kind: 'messageDeleted', message: 2 })]);
  assert.deepEqual(thread.events.slice(0, 2).map(({ text, edited, deleted }) => [text, edited !== undefined, deleted === true]), [['new', true, false], ['', false, true]]);
});

test('a hole asks for a new connection and loses nothing', () => {
  const thread = addEvents(resume(EMPTY_THREAD, [message(1)], 1), [message(3)]);
  assert.equal(thread.gap, true);
  assert.equal(thread.cursor, 1);
  const again = resume(thread, [message(2), message(3)], 3);
  assert.deepEqual(seqs(again), [1, 2, 3]);
  assert.equal(again.gap, false);
});

test('the cursor follows the welcome over events that one may not see', () => {
  const thread = resume(resume(EMPTY_THREAD, [message(1)], 1), [message(6)], 7);
  assert.deepEqual(seqs(thread), [1, 6]);
  assert.equal(addEvents(thread, [message(8)]).gap, false);
});

test('an own message is pending until it comes back as an event', () => {
  let thread = queue(EMPTY_THREAD, 'c-1', 'm1');
  assert.deepEqual(thread.pending, [{ clientMessageId: 'c-1', text: 'm1', state: 'sending' }]);
  thread = settle(thread, 'c-1', 'sent');
  assert.equal(thread.pending[0].state, 'sent');
  thread = addEvents(thread, [message(1, 'me')]);
  assert.deepEqual(thread.pending, []);
});

test('an event that comes before its acknowledgement leaves nothing pending', () => {
  const thread = settle(addEvents(queue(EMPTY_THREAD, 'c-1', 'm1'), [message(1, 'me')]), 'c-1', 'sent');
  assert.deepEqual(thread.pending, []);
});

test('a failed message tried again is one message, sending', () => {
  const failed = settle(queue(EMPTY_THREAD, 'c-1', 'm1'), 'c-1', 'failed');
  assert.equal(failed.pending[0].state, 'failed');
  assert.deepEqual(queue(failed, 'c-1', 'm1').pending, [{ clientMessageId: 'c-1', text: 'm1', state: 'sending' }]);
});

test('unread are messages of others since the chat was last open', () => {
  let thread = resume(EMPTY_THREAD, [message(1), message(2, 'me'), message(3)], 3);
  assert.equal(unreadCount(thread, 'me'), 2);
  thread = markRead(thread);
  assert.equal(unreadCount(thread, 'me'), 0);
  assert.equal(unreadCount(addEvents(thread, [message(4)]), 'me'), 1);
});

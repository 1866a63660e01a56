import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasEarlier, TYPING_MS, unreadOf } from '../js/state/chat.js';
import { inOrder, noChats, reduceChats, unreadInAll } from '../js/state/chats.js';
import { chats as words } from '../js/text/en-chats.js';
import { lastLine } from '../js/ui/chat-words.js';
import { BOB, ME, after, begin, body, chatIn, deleted, edited, felt, happened, list, news, own, page, read, said, texts, typing } from './kit/chats.js';
import { goldens } from './kit/golden.js';

const order = (state) => inOrder(state).map(({ id }) => id);
const unread = (state, id) => unreadOf(chatIn(state, id), ME);
const message = (state, id, seq) => chatIn(state, id).events.find((event) => event.seq === seq);

test('every message of the feed can be reduced, before and after the list', () => {
  const chatId = goldens('server').get('server.chatEvent').chatId;
  for (const state of [noChats(ME), begin(body(chatId, { lastSeq: 3 }))]) {
    for (const [name, golden] of goldens('server')) {
      const news = golden.type === 'event' ? { type: 'chatEvent', cursor: 'e-1', chatId, event: golden.event } : golden;
      if (!['chatEvent', 'chatRead', 'typing'].includes(news.type)) continue;
      assert.ok(reduceChats(state, { type: 'news', message: news, now: 0 }), name);
    }
  }
});

test('the chat with the newest event comes first, and keeps its place in the next page of the list', () => {
  let state = begin(body('a'), body('b'));
  assert.deepEqual(order(state), ['a', 'b']);
  state = after(state, news('b', said(1)));
  assert.deepEqual(order(state), ['b', 'a']);
  state = after(state, { type: 'listed', chats: [body('b', { lastSeq: 1 }), body('c'), body('d')], next: null, anew: false });
  assert.deepEqual(order(state), ['b', 'a', 'c', 'd']);
});

test('what happened while the list was read is neither lost nor doubled', () => {
  const state = after(noChats(ME), news('a', said(1), said(2), said(3)), list(body('b'), body('a', { lastSeq: 2, unread: 2 })));
  assert.deepEqual([texts(state, 'a'), unread(state, 'a')], [['m3'], 3]);
  assert.deepEqual(order(state), ['a', 'b']);
  assert.equal(state.stale.size, 0);
});

test('a chat that is not known is to be read, and what came until then is in it', () => {
  let state = after(begin(body('a')), news('new', happened(1, 'chatCreated'), said(2)));
  assert.ok(state.stale.has('new'));
  state = after(state, news('new', said(3)), { type: 'summary', chat: body('new', { lastSeq: 1 }) });
  assert.deepEqual([texts(state, 'new'), order(state)], [['m2', 'm3'], ['new', 'a']]);
  assert.equal(state.stale.size, 0);
});

test('somebody who comes to the meeting may be in its chat from then on, which only the server knows', () => {
  const came = (seq, userId) => happened(seq, 'participantJoined', { participantId: `p${seq}`, displayName: 'Eve', ...(userId && { userId }) });
  let state = after(begin(body('a')), news('a', came(1), came(2, BOB)));
  assert.equal(state.stale.size, 0, 'a guest, and one who is in it');
  state = after(state, news('a', came(3, 'usr_eve')));
  assert.ok(state.stale.has('a'));
  const eve = { userId: 'usr_eve', displayName: 'Eve', role: 'member', lastReadSeq: 0 };
  state = after(state, { type: 'summary', chat: { ...body('a', { lastSeq: 3 }), members: [eve] } });
  assert.deepEqual([state.stale.size, chatIn(state, 'a').members.length], [0, 1]);
});

test('the same event twice changes nothing', () => {
  const state = after(begin(body('a')), news('a', said(1)));
  assert.equal(after(state, news('a', said(1))), state);
});

test('pages before are put before, each once, and the floor says whether there is more', () => {
  let state = begin(body('a', { lastSeq: 5 }));
  state = after(state, page('a', [said(4), said(5)], 6, 3), news('a', said(6)), page('a', [said(4), said(5)], 6, 3));
  assert.deepEqual([texts(state, 'a'), hasEarlier(chatIn(state, 'a'))], [['m4', 'm5', 'm6'], true]);
  state = after(state, page('a', [said(1), said(2), said(3)], 4, 0));
  assert.deepEqual([texts(state, 'a').length, hasEarlier(chatIn(state, 'a'))], [6, false]);
});

test('what one may not see is no reason to look for more', () => {
  const state = after(begin(body('a', { lastSeq: 5, viewpoint: { visibleAfterSeq: 3 } })), page('a', [said(4), said(5)], 6, 3));
  assert.equal(hasEarlier(chatIn(state, 'a')), false);
});

test('edits, deletions and reactions change the message in its place', () => {
  const html = said(1, BOB, 'hello', { html: '<b>hello</b>', mentions: [{ userId: ME, displayName: 'Me' }] });
  let state = after(begin(body('a')), news('a', html, felt(2, 1, 'heart'), felt(3, 1, 'like', ME), edited(4, 1, 'good morning')));
  const now = message(state, 'a', 1);
  assert.deepEqual([now.text, now.html, now.mentions, typeof now.edited], ['good morning', undefined, undefined, 'string']);
  assert.deepEqual(now.reactions, { [BOB]: 'heart', [ME]: 'like' });
  assert.equal(chatIn(state, 'a').preview.text, 'good morning');
  state = after(state, news('a', felt(5, 1, null)));
  assert.deepEqual(message(state, 'a', 1).reactions, { [ME]: 'like' });
  state = after(state, news('a', deleted(6, 1), edited(7, 1, 'back again'), felt(8, 1, 'like')));
  const gone = message(state, 'a', 1);
  assert.deepEqual([gone.text, gone.deleted, gone.reactions], ['', true, undefined]);
});

test('the list shows a message or what became of a call to one’s number, whichever is newer, also after a reload', () => {
  const call = (seq, state) => happened(seq, 'phoneCall', { callId: 'c', meetingId: 'm', caller: '+49••78', state });
  const line = (state) => lastLine(chatIn(state, 'a'), ME);
  const listed = begin(body('a', { chatType: 'meeting', lastSeq: 4, lastMessagePreview: call(4, 'missed') }), body('b', { lastSeq: 1, lastMessagePreview: happened(1, 'chatCreated') }));
  assert.equal(line(listed), 'Missed call from +49••78.');
  assert.equal(lastLine(chatIn(listed, 'b'), ME), words.nothingYet);
  assert.equal(line(after(listed, page('a', [call(1, 'ringing'), happened(2, 'meetingEnded'), happened(3, 'topicChanged'), call(4, 'missed')], 5, 0))), 'Missed call from +49••78.');
  const written = after(listed, news('a', said(5, BOB, 'call me')));
  assert.equal(line(written), words.by('Bob', 'call me'));
  const edit = after(written, news('a', edited(6, 5, 'call me soon')));
  assert.equal(line(edit), words.by('Bob', 'call me soon'));
  assert.equal(line(after(edit, news('a', call(7, 'message')))), '+49••78 left a message.');
  assert.equal(line(after(listed, news('a', edited(5, 4, 'x')))), 'Missed call from +49••78.', 'nobody edits a call');
});

test('an edit that comes before the page with its message is in the page too', () => {
  const state = after(begin(body('a', { lastSeq: 2 })), news('a', edited(3, 1, 'new')), page('a', [said(1, BOB, 'old'), said(2)], 3, 0));
  assert.equal(message(state, 'a', 1).text, 'new');
});

test('unread are messages of others: counted by the server before, by events afterwards', () => {
  let state = begin(body('a', { lastSeq: 9, unread: 4, viewpoint: { lastReadSeq: 5 } }), body('b'));
  state = after(state, news('a', said(10), said(11, ME), happened(12, 'meetingEnded')));
  assert.equal(unread(state, 'a'), 5);
  state = after(state, page('a', [said(6), said(7), said(8, ME), said(9)], 10, 5));
  assert.deepEqual([unread(state, 'a'), unreadInAll(state)], [4, 4], 'what is here is counted, not estimated');
});

test('a call that was not taken is unread, as its caller’s message is, until it is read', () => {
  const call = (seq, state) => happened(seq, 'phoneCall', { callId: 'c', meetingId: 'm', caller: '+49••78', state });
  for (const [becomes, count] of [['missed', 1], ['message', 1], ['answered', 0], ['declined', 0]]) {
    const told = after(begin(body('a')), news('a', call(1, 'ringing'), call(2, becomes)));
    assert.equal(unread(told, 'a'), count, becomes);
    assert.equal(unread(after(told, read('a', ME, 2)), 'a'), 0, becomes);
    const listed = after(begin(body('a', { lastSeq: 2, unread: count })), page('a', [call(1, 'ringing'), call(2, becomes)], 3, 0));
    assert.equal(unread(listed, 'a'), count, `${becomes}, counted by the server before`);
  }
});

test('read on another device is read here; read in the middle is asked for', () => {
  let state = begin(body('a', { lastSeq: 9, unread: 4 }));
  state = after(state, read('a', ME, 7));
  assert.ok(state.stale.has('a'));
  assert.equal(unread(state, 'a'), 4, 'until the answer comes');
  state = after(state, { type: 'summary', chat: body('a', { lastSeq: 9, unread: 2, viewpoint: { lastReadSeq: 7 } }) });
  assert.deepEqual([unread(state, 'a'), state.stale.size], [2, 0]);
  state = after(state, read('a', ME, 9));
  assert.deepEqual([unread(state, 'a'), state.stale.size], [0, 0]);
  assert.equal(after(state, read('a', ME, 3)), state, 'nobody reads backwards');
});

test('an answer that is ahead of the feed is asked for again, so that nothing counts twice', () => {
  const ahead = { type: 'summary', chat: body('a', { lastSeq: 10, unread: 3, viewpoint: { lastReadSeq: 7 } }) };
  const before = after(begin(body('a', { lastSeq: 9, unread: 4 })), read('a', ME, 7));
  assert.equal(after(before, ahead), before);
  const state = after(before, news('a', said(10)), ahead);
  assert.deepEqual([unread(state, 'a'), state.stale.size], [3, 0]);
});

test('how far others have read is kept with them', () => {
  const state = after(begin(body('a', { lastSeq: 2 })), read('a', BOB, 2));
  assert.equal(chatIn(state, 'a').members[1].lastReadSeq, 2);
  assert.equal(chatIn(state, 'a').readUpTo, 0);
});

test('an own message stands at the end until it comes back, whichever comes first', () => {
  const queued = after(begin(body('a')), { type: 'queued', id: 'a', own: own('x', 'mine') });
  const settled = { type: 'settled', id: 'a', clientMessageId: 'x', change: { state: 'sent', seq: 1 } };
  const event = news('a', said(1, ME, 'mine', { clientMessageId: 'x' }));
  for (const actions of [[settled, event], [event, settled]]) {
    const state = after(queued, ...actions);
    assert.deepEqual([texts(state, 'a'), chatIn(state, 'a').pending], [['mine'], []]);
  }
  assert.equal(chatIn(after(queued, settled), 'a').pending.length, 1, 'it does not vanish in between');
});

test('somebody else’s message with the same client id is not mine', () => {
  const state = after(begin(body('a')), { type: 'queued', id: 'a', own: own('x', 'mine') }, news('a', said(1, BOB, 'theirs', { clientMessageId: 'x' })));
  assert.equal(chatIn(state, 'a').pending.length, 1);
});

test('a failed message that is tried again keeps its place; one that is given up goes', () => {
  let state = after(
    begin(body('a')),
    { type: 'queued', id: 'a', own: own('x', '1') },
    { type: 'queued', id: 'a', own: own('y', '2') },
    { type: 'settled', id: 'a', clientMessageId: 'x', change: { state: 'failed', problem: 'why' } },
  );
  assert.deepEqual(chatIn(state, 'a').pending.map((one) => one.state), ['failed', 'sending']);
  state = after(state, { type: 'queued', id: 'a', own: own('x', '1') });
  assert.deepEqual(chatIn(state, 'a').pending.map((one) => one.clientMessageId), ['x', 'y']);
  state = after(state, { type: 'discarded', id: 'a', clientMessageId: 'x' });
  assert.deepEqual(chatIn(state, 'a').pending.map((one) => one.clientMessageId), ['y']);
});

test('who writes is shown for a while, until they have written, and not oneself', () => {
  const writing = after(begin(body('a')), typing('a', BOB, 1_000), typing('a', ME, 1_000));
  assert.deepEqual([...chatIn(writing, 'a').typing.keys()], [BOB]);
  assert.equal(after(writing, { type: 'tick', now: 1_000 + TYPING_MS - 1 }), writing);
  assert.equal(chatIn(after(writing, { type: 'tick', now: 1_000 + TYPING_MS }), 'a').typing.size, 0);
  assert.equal(chatIn(after(writing, news('a', said(1))), 'a').typing.size, 0);
});

test('members and topic follow the events', () => {
  const eve = { userId: 'usr_eve', displayName: 'Eve', role: 'member' };
  let state = after(begin(body('a')), news('a', happened(1, 'membersAdded', { members: [eve] }), happened(2, 'topicChanged', { topic: 'Garden' })));
  assert.deepEqual([chatIn(state, 'a').members.length, chatIn(state, 'a').topic], [3, 'Garden']);
  state = after(state, news('a', happened(3, 'memberRemoved', { userId: BOB, displayName: 'Bob' })));
  assert.deepEqual(chatIn(state, 'a').members.map(({ userId }) => userId), [ME, 'usr_eve']);
  state = after(state, news('a', happened(4, 'memberRemoved', { userId: ME, displayName: 'Me' })));
  assert.equal(chatIn(state, 'a'), undefined, 'whoever is out no longer has it');
  assert.ok(state.absent.has('a'));
  const me = { userId: ME, displayName: 'Me', role: 'member' };
  state = after(state, news('a', happened(5, 'membersAdded', { members: [me] })));
  assert.ok(state.stale.has('a'), 'whoever is in again asks for it');
  state = after(state, { type: 'summary', chat: body('a', { lastSeq: 5 }) });
  assert.deepEqual([state.absent.size, state.stale.size], [0, 0]);
});

test('the divider stands where reading ended, and stays while one reads', () => {
  let state = after(begin(body('a', { lastSeq: 4, unread: 2, viewpoint: { lastReadSeq: 2 } })), { type: 'attention', attentive: true }, { type: 'opened', id: 'a' });
  assert.equal(chatIn(state, 'a').divider, 2);
  state = after(state, { type: 'read', id: 'a', seq: 4 });
  assert.equal(chatIn(state, 'a').divider, 2);
  state = after(state, { type: 'opened', id: null }, { type: 'opened', id: 'a' });
  assert.equal(chatIn(state, 'a').divider, null);
});

test('what comes while nobody looks begins with a divider; what comes while one looks does not', () => {
  const open = after(begin(body('a', { lastSeq: 1, viewpoint: { lastReadSeq: 1 } })), { type: 'attention', attentive: true }, { type: 'opened', id: 'a' });
  assert.equal(chatIn(after(open, news('a', said(2))), 'a').divider, null);
  const away = after(open, { type: 'attention', attentive: false }, news('a', said(2), said(3)));
  assert.equal(chatIn(away, 'a').divider, 1);
  assert.equal(chatIn(after(away, { type: 'queued', id: 'a', own: own('x', 'mine') }), 'a').divider, null);
});

test('after having been away a list that is ahead begins the chat anew; what is on its way stays', () => {
  let state = after(begin(body('a', { lastSeq: 3 }), body('b')), page('a', [said(2), said(3)], 4, 1), { type: 'queued', id: 'a', own: own('x', 'mine') });
  state = after(state, list(body('a', { lastSeq: 40, unread: 30 })));
  const chat = chatIn(state, 'a');
  assert.deepEqual([chat.events.length, chat.floor, chat.pending.length, unread(state, 'a')], [0, 40, 1, 30]);
  assert.equal(chatIn(state, 'b'), undefined, 'a chat that is no longer listed is gone');
});

test('after having been away an open chat beyond the first page is asked for', () => {
  let state = after(begin(body('a'), body('b')), { type: 'opened', id: 'b' }, list(body('a')));
  assert.ok(state.stale.has('b'));
  state = after(state, { type: 'gone', id: 'b' });
  assert.deepEqual([state.stale.size, order(state)], [0, ['a']]);
});

test('a list without news for a chat keeps what is here of it', () => {
  const before = after(begin(body('a', { lastSeq: 3 })), page('a', [said(2), said(3)], 4, 1));
  assert.deepEqual(texts(after(before, list(body('a', { lastSeq: 3 }))), 'a'), ['m2', 'm3']);
});

test('an event that leaves a hole begins the piece anew and asks how much is unread', () => {
  const state = after(begin(body('a', { lastSeq: 3 })), news('a', said(9)));
  assert.deepEqual([texts(state, 'a'), chatIn(state, 'a').floor, state.stale.has('a')], [['m9'], 8, true]);
});

test('messages of others are told to those who listen, own ones are not', () => {
  const state = after(begin(body('a')), news('a', said(1, BOB, 'hi')));
  assert.deepEqual(state.announcement, { id: 1, chatId: 'a', name: 'Bob', text: 'hi' });
  assert.equal(after(state, news('a', said(2, ME))).announcement, state.announcement);
});

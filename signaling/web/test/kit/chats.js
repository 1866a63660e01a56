/** Small builders for states of the chats page. */

import { noChats, reduceChats } from '../../js/state/chats.js';

export const ME = 'usr_me';
export const BOB = 'usr_bob';
const NAMES = { [ME]: 'Me', [BOB]: 'Bob', usr_eve: 'Eve' };

export const by = (userId) => ({ participantId: null, userId, displayName: NAMES[userId] ?? userId });
const event = (seq, more) => ({ seq, id: `evt_${seq}`, time: new Date(Date.UTC(2026, 10, 24, 13, 0, seq)).toISOString(), ...more });
export const said = (seq, from = BOB, text = `m${seq}`, more = {}) =>
  event(seq, { kind: 'message', from: by(from), text, clientMessageId: `c-${seq}`, ...more });
export const edited = (seq, message, text, more = {}) => event(seq, { kind: 'messageEdited', message, text, by: by(BOB), ...more });
export const deleted = (seq, message) => event(seq, { kind: 'messageDeleted', message, by: by(BOB) });
export const felt = (seq, message, reaction, who = BOB) => event(seq, { kind: 'messageReaction', message, reaction, by: by(who) });
export const happened = (seq, kind, more = {}) => event(seq, { kind, ...more });

export const body = (id, more = {}) => ({
  id,
  chatType: 'group',
  topic: `Topic of ${id}`,
  createdDateTime: '2026-11-24T13:00:00.000Z',
  lastSeq: 0,
  unread: 0,
  members: [ME, BOB].map((userId) => ({ userId, displayName: NAMES[userId], role: 'member', lastReadSeq: 0 })),
  ...more,
  viewpoint: { lastReadSeq: 0, visibleAfterSeq: 0, role: 'member', ...more.viewpoint },
});

export const own = (clientMessageId, text, more = {}) => ({
  clientMessageId,
  text,
  mentions: [],
  replyTo: null,
  state: 'sending',
  seq: 0,
  problem: '',
  ...more,
});

export const list = (...chats) => ({ type: 'listed', chats, next: null, anew: true });
export const news = (chatId, ...events) => events.map((one) => ({ type: 'news', now: 0, message: { type: 'chatEvent', cursor: 'e-1', chatId, event: one } }));
export const read = (chatId, userId, seq) => ({ type: 'news', now: 0, message: { type: 'chatRead', cursor: 'e-1', chatId, userId, seq } });
export const typing = (chatId, userId, now = 0) => ({ type: 'news', now, message: { type: 'typing', chatId, userId } });
export const page = (id, events, before, floor) => ({ type: 'paged', id, events, before, floor });

export const after = (state, ...actions) => actions.flat().reduce(reduceChats, state);
export const begin = (...chats) => after(noChats(ME), list(...chats));
export const chatIn = (state, id) => state.chats.get(id);
export const texts = (state, id) => chatIn(state, id).events.map(({ text }) => text);

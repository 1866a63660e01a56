/**
 * Everything that the chats page knows, and how it changes: a pure reducer.
 *
 * Why the lists and the feed meet here: the feed begins before the lists are read, so what happens in between comes
 * twice or to a chat that is not known yet. Events of unknown chats are kept as strays until the chat is read; events
 * that a list has counted already are known by their seq.
 *
 *   feed -> news -----------+
 *   lists, pages -> listed, summary, paged ---> chats, stale (what app/chats.js should read)
 *   own acts -> opened, queued, settled, read -+
 */

import { chatOf, discard, isOfOthers, prepend, queue, quiet, readBy, refresh, settle, take, typed, unreadOf } from './chat.js';

/** @import { Chat, Outgoing } from './chat.js' */
/** @import { ChatBody } from '../protocol/chats-http.js' */
/** @import { Link } from '../protocol/connection.js' */
/** @import { News } from '../protocol/feed-messages.js' */
/** @import { ThreadEvent } from '../protocol/messages.js' */

/** @typedef {{ id: number, chatId: string, name: string, text: string }} ChatAnnouncement For those who listen. */
/**
 * @typedef {object} ChatsState
 * @property {string} me
 * @property {'loading' | 'ready' | 'failed'} phase
 * @property {Link} link
 * @property {ReadonlyMap<string, Chat>} chats
 * @property {ReadonlyMap<string, readonly ThreadEvent[]>} stale Chats of which the server has to be asked, with strays.
 * @property {ReadonlySet<string>} absent Chats that one asked for and that one is not in.
 * @property {string | null} next Where the list goes on.
 * @property {string | null} openId
 * @property {boolean} attentive Somebody looks at the page.
 * @property {ChatAnnouncement | null} announcement
 * @property {number} lowest Rank of the list's end.
 * @property {number} highest Rank of the list's beginning.
 */
/**
 * @typedef {{ type: 'link', link: Link }
 *   | { type: 'listed', chats: readonly ChatBody[], next: string | null, anew: boolean }
 *   | { type: 'failed' }
 *   | { type: 'summary', chat: ChatBody }
 *   | { type: 'gone', id: string }
 *   | { type: 'news', message: News, now: number }
 *   | { type: 'tick', now: number }
 *   | { type: 'paged', id: string, events: readonly ThreadEvent[], before: number, floor: number }
 *   | { type: 'opened', id: string | null }
 *   | { type: 'attention', attentive: boolean }
 *   | { type: 'queued', id: string, own: Outgoing }
 *   | { type: 'settled', id: string, clientMessageId: string, change: Partial<Outgoing> }
 *   | { type: 'discarded', id: string, clientMessageId: string }
 *   | { type: 'read', id: string, seq: number }} ChatsAction
 */

/** @param {string} me @returns {ChatsState} */
export const noChats = (me) => ({
  me,
  phase: 'loading',
  link: { phase: 'connecting', attempt: 0, transport: 'socket' },
  chats: new Map(),
  stale: new Map(),
  absent: new Set(),
  next: null,
  openId: null,
  attentive: false,
  announcement: null,
  lowest: 0,
  highest: 0,
});

/** @param {ChatsState} state @param {ChatsAction} action @returns {ChatsState} */
export function reduceChats(state, action) {
  switch (action.type) {
    case 'link':
      return { ...state, link: action.link };
    case 'listed':
      return listed(state, action);
    case 'failed':
      return state.phase === 'loading' ? { ...state, phase: 'failed' } : state;
    case 'summary':
      return known(state, action.chat, null);
    case 'gone':
      return without(state, action.id);
    case 'news':
      return reduceNews(state, action.message, action.now);
    case 'tick':
      return changeAll(state, (chat) => quiet(chat, action.now));
    case 'paged':
      return change(state, action.id, (chat) => prepend(chat, action.events, action.before, action.floor, state.me));
    case 'opened':
      return opened(state, action.id);
    case 'attention':
      return state.attentive === action.attentive ? state : { ...state, attentive: action.attentive };
    case 'queued':
      return change(state, action.id, (chat) => queue(chat, action.own));
    case 'settled':
      return change(state, action.id, (chat) => settle(chat, action.clientMessageId, action.change));
    case 'discarded':
      return change(state, action.id, (chat) => discard(chat, action.clientMessageId));
    case 'read':
      return reduceRead(state, action.id, state.me, action.seq);
  }
}

/** A page of the list: the first anew, or the next. @param {ChatsState} state @param {{ chats: readonly ChatBody[], next: string | null, anew: boolean }} page @returns {ChatsState} */
function listed(state, { chats, next, anew }) {
  const top = anew ? state.highest + chats.length : state.lowest;
  /** @type {ChatsState} */
  let result = { ...(anew ? forgotten(state, chats) : state), phase: 'ready', next, lowest: top - chats.length, highest: Math.max(state.highest, top) };
  chats.forEach((body, index) => {
    const isPlaced = anew || !state.chats.has(body.id);
    result = known(isBehind(result, body) ? begunAnew(result, body) : result, body, isPlaced ? top - index : null);
  });
  return result;
}

/**
 * What is not in a new list is in its next pages, or no longer one's own. Of the open chat that is asked for.
 *
 * @param {ChatsState} state @param {readonly ChatBody[]} list @returns {ChatsState}
 */
function forgotten(state, list) {
  const ids = new Set(list.map(({ id }) => id));
  const chats = new Map([...state.chats].filter(([id]) => ids.has(id) || id === state.openId));
  const asks = state.openId !== null && chats.has(state.openId) && !ids.has(state.openId);
  return { ...state, chats, stale: asks ? new Map(state.stale).set(/** @type {string} */ (state.openId), []) : state.stale };
}

/** @param {ChatsState} state @param {ChatBody} body */
const isBehind = ({ chats }, { id, lastSeq }) => (chats.get(id)?.lastSeq ?? lastSeq) < lastSeq;

/** The page was away, and the feed does not bring what is missing. @param {ChatsState} state @param {ChatBody} body @returns {ChatsState} */
const begunAnew = (state, body) =>
  change(state, body.id, ({ rank, pending, divider, members }) => ({ ...chatOf(body, rank), pending, divider, members }));

/**
 * The server told of a chat; what had come for it before it was known is put in.
 *
 * @param {ChatsState} state @param {ChatBody} body @param {number | null} rank Null: where it is, or first.
 * @returns {ChatsState}
 */
function known(state, body, rank) {
  const before = state.chats.get(body.id);
  // The feed is about to bring what the server knows already; then it is asked again.
  if (before && before.lastSeq < body.lastSeq) return state;
  const strays = state.stale.get(body.id) ?? [];
  const base = { ...(before ? refresh(before, body, state.me) : chatOf(body, 0)), rank: rank ?? before?.rank ?? state.highest + 1 };
  const chat = strays.reduce((next, event) => take(next, event, state.me), base);
  // Something happened in it after the list was made.
  const placed = rank !== null && chat.lastSeq > body.lastSeq ? { ...chat, rank: state.highest + 1 } : chat;
  const next = withoutStale({ ...state, highest: Math.max(state.highest, placed.rank) }, body.id);
  const absent = next.absent.has(body.id) ? new Set([...next.absent].filter((id) => id !== body.id)) : next.absent;
  return { ...next, absent, chats: new Map(next.chats).set(body.id, placed) };
}

/** @param {ChatsState} state @param {News} message @param {number} now @returns {ChatsState} */
function reduceNews(state, message, now) {
  switch (message.type) {
    case 'chatEvent':
      return reduceEvent(state, message.chatId, message.event);
    case 'chatRead':
      return reduceRead(state, message.chatId, message.userId, message.seq);
    case 'typing':
      return message.userId === state.me ? state : change(state, message.chatId, (chat) => typed(chat, message.userId, now));
  }
}

/** @param {ChatsState} state @param {string} id @param {ThreadEvent} event @returns {ChatsState} */
function reduceEvent(state, id, event) {
  if (event.kind === 'memberRemoved' && event.userId === state.me) return without(state, id);
  const chat = state.chats.get(id);
  if (!chat) return { ...state, stale: new Map(state.stale).set(id, [...(state.stale.get(id) ?? []), event]) };
  if (event.seq <= chat.lastSeq) return state;
  const hole = event.seq > chat.lastSeq + 1;
  const isNews = isOfOthers(event, state.me);
  const highest = state.highest + 1;
  const isOpen = state.openId === id;
  const divider = isNews && isOpen && !state.attentive ? (chat.divider ?? chat.readUpTo) : chat.divider;
  const next = change({ ...state, highest }, id, (before) => ({ ...take(before, event, state.me), divider, rank: highest }));
  const told = isNews ? announced(next, id, event.from.displayName, event.text) : next;
  // Whoever comes to a meeting of their own organisation is in its chat from then on; whose they are only the server knows.
  const isPerhapsNew =
    event.kind === 'participantJoined' && event.userId !== undefined && !chat.members.some(({ userId }) => userId === event.userId);
  return hole || isPerhapsNew ? { ...told, stale: new Map(told.stale).set(id, told.stale.get(id) ?? []) } : told;
}

/** @param {ChatsState} state @param {string} chatId @param {string} name @param {string} text @returns {ChatsState} */
const announced = (state, chatId, name, text) => ({
  ...state,
  announcement: { id: (state.announcement?.id ?? 0) + 1, chatId, name, text },
});

/** @param {ChatsState} state @param {string} id @param {string} who @param {number} seq @returns {ChatsState} */
function reduceRead(state, id, who, seq) {
  const chat = state.chats.get(id);
  if (!chat) return state;
  const read = readBy(chat, who, seq, state.me);
  if (read === chat) return state;
  if (read.older >= 0) return change(state, id, () => read);
  const stale = new Map(state.stale).set(id, state.stale.get(id) ?? []);
  return change({ ...state, stale }, id, () => ({ ...read, older: chat.older }));
}

/** @param {ChatsState} state @param {string | null} id @returns {ChatsState} */
function opened(state, id) {
  const left = state.openId === null || state.openId === id ? state : change(state, state.openId, (chat) => ({ ...chat, divider: null }));
  const next = { ...left, openId: id };
  if (id === null || state.openId === id) return next;
  return change(next, id, (chat) => ({ ...chat, divider: unreadOf(chat, state.me) > 0 ? chat.readUpTo : null }));
}

/** @param {ChatsState} state @param {string} id @param {(chat: Chat) => Chat} how @returns {ChatsState} */
function change(state, id, how) {
  const chat = state.chats.get(id);
  const next = chat && how(chat);
  return next === undefined || next === chat ? state : { ...state, chats: new Map(state.chats).set(id, next) };
}

/** @param {ChatsState} state @param {(chat: Chat) => Chat} how @returns {ChatsState} */
const changeAll = (state, how) => [...state.chats.keys()].reduce((next, id) => change(next, id, how), state);

/** One is not in that chat. @param {ChatsState} state @param {string} id @returns {ChatsState} */
function without(state, id) {
  const chats = new Map([...state.chats].filter(([other]) => other !== id));
  return { ...withoutStale(state, id), chats, absent: new Set(state.absent).add(id) };
}

/** @param {ChatsState} state @param {string} id @returns {ChatsState} */
function withoutStale(state, id) {
  if (!state.stale.has(id)) return state;
  return { ...state, stale: new Map([...state.stale].filter(([other]) => other !== id)) };
}

/** The list: the chat with the newest event first. @param {ChatsState} state @returns {Chat[]} */
export const inOrder = ({ chats }) => [...chats.values()].sort((a, b) => b.rank - a.rank);

/** @param {ChatsState} state */
export const unreadInAll = ({ chats, me }) => [...chats.values()].reduce((sum, chat) => sum + unreadOf(chat, me), 0);

/**
 * One chat as this page knows it: what it is, who is in it, the newest part of what was said, and what is on its way.
 *
 * Why a floor: everything after `floor` up to `lastSeq` is here, without a hole. It begins at the end of the chat and is
 * lowered by every page that is read backwards, so that what is shown is always one piece, and what comes is its next.
 *
 *   floor ... [events] ... lastSeq
 *     ^ prepend (a page before)   ^ take (an event of the feed)      queue -> settle -> take: own messages
 */

import { fold } from './fold.js';

/** @import { MessageEvent_, PhoneCallEvent, ThreadEvent } from '../protocol/messages.js' */
/** @import { ChatRole, Mention } from '../protocol/chat-events.js' */
/** @import { ChatBody } from '../protocol/chats-http.js' */

/** @typedef {{ userId: string, displayName: string, role: ChatRole, lastReadSeq: number }} Member */
/**
 * @typedef {object} Outgoing
 * @property {string} clientMessageId
 * @property {string} text
 * @property {Mention[]} mentions
 * @property {number | null} replyTo
 * @property {'sending' | 'waiting' | 'failed' | 'sent'} state Waiting: for the network.
 * @property {number} seq Where it was stored; 0 before that is known.
 * @property {string} problem What went wrong, for the person; empty otherwise.
 */
/** @typedef {MessageEvent_ | PhoneCallEvent} Preview What the list shows of a chat: a message, or what became of a call to somebody's own number. */
/**
 * @typedef {object} Chat
 * @property {string} id
 * @property {'oneOnOne' | 'group' | 'meeting'} chatType
 * @property {string} topic
 * @property {ChatRole} role One's own.
 * @property {readonly Member[]} members
 * @property {number} lastSeq
 * @property {number} visibleAfter
 * @property {number} readUpTo
 * @property {number} floor
 * @property {readonly ThreadEvent[]} events
 * @property {number} older Unread messages at or before the floor, as the server counted them.
 * @property {Preview | null} preview The newest of them.
 * @property {readonly Outgoing[]} pending Own messages that have not come back as events.
 * @property {ReadonlyMap<string, number>} typing Who writes at this moment, and until when that is believed.
 * @property {number | null} divider What comes after it was new when it was last looked at.
 * @property {number} rank The chat with the highest is the first of the list.
 */

/** A sign that somebody writes is repeated every few seconds; it is believed a little longer. */
export const TYPING_MS = 6_000;

/** @param {ChatBody} body @param {number} rank @returns {Chat} */
export const chatOf = (body, rank) => ({
  id: body.id,
  chatType: body.chatType,
  topic: body.topic,
  role: body.viewpoint.role,
  members: body.members,
  lastSeq: body.lastSeq,
  visibleAfter: body.viewpoint.visibleAfterSeq,
  readUpTo: body.viewpoint.lastReadSeq,
  floor: body.lastSeq,
  events: [],
  older: body.unread,
  preview: body.lastMessagePreview && isShown(body.lastMessagePreview) ? body.lastMessagePreview : null,
  pending: [],
  typing: new Map(),
  divider: null,
  rank,
});

/** Whether there is more to read before what is here. @param {Chat} chat */
export const hasEarlier = ({ floor, visibleAfter }) => floor > visibleAfter;

/** @param {ThreadEvent} event @param {string} me @returns {event is MessageEvent_} */
export const isOfOthers = (event, me) => event.kind === 'message' && event.from.userId !== me;

/** What counts as unread: messages of others, and calls that were not taken. @param {ThreadEvent} event @param {string} me */
const isUnread = (event, me) => isOfOthers(event, me) || (event.kind === 'phoneCall' && (event.state === 'missed' || event.state === 'message'));

/** @param {Chat} chat @param {string} me */
export const unreadOf = ({ older, events, readUpTo }, me) =>
  older + events.filter((event) => event.seq > readUpTo && isUnread(event, me)).length;

/**
 * What the server says of it by now. What is known by events is kept: it is the same or newer.
 *
 * @param {Chat} chat @param {ChatBody} body @param {string} me @returns {Chat}
 */
export function refresh(chat, body, me) {
  const known = { ...chat, topic: body.topic, role: body.viewpoint.role, visibleAfter: body.viewpoint.visibleAfterSeq };
  const next = { ...known, members: body.members, readUpTo: Math.max(chat.readUpTo, body.viewpoint.lastReadSeq) };
  return { ...next, older: Math.max(0, body.unread - unreadOf({ ...next, older: 0 }, me)) };
}

/**
 * Takes the next event. One that is known changes nothing; one that leaves a hole begins the piece anew.
 *
 * @param {Chat} chat @param {ThreadEvent} event @param {string} me @returns {Chat}
 */
export function take(chat, event, me) {
  if (event.seq <= chat.lastSeq) return chat;
  const hole = event.seq > chat.lastSeq + 1;
  const before = hole ? { ...chat, older: unreadOf(chat, me), events: [], floor: event.seq - 1 } : chat;
  const events = [...fold(before.events, [event]), event];
  return arrived(withMembers({ ...before, events, lastSeq: event.seq, preview: previewAfter(chat.preview, event) }, event), [event], me);
}

/** @param {ThreadEvent} event @returns {event is Preview} */
const isShown = (event) => event.kind === 'message' || event.kind === 'phoneCall';

/** @param {Preview | null} preview @param {ThreadEvent} event */
function previewAfter(preview, event) {
  if (isShown(event)) return event;
  return preview && /** @type {Preview} */ (fold([preview], [event])[0]);
}

/**
 * Takes a page that ends where what is here begins.
 *
 * @param {Chat} chat
 * @param {readonly ThreadEvent[]} page
 * @param {number} before The page was asked for up to here, exclusive.
 * @param {number} floor Where it begins.
 * @param {string} me
 * @returns {Chat}
 */
export function prepend(chat, page, before, floor, me) {
  // Asked twice, or the piece began anew in between.
  if (before !== chat.floor + 1) return chat;
  const older = floor <= chat.readUpTo ? 0 : Math.max(0, chat.older - page.filter((event) => event.seq > chat.readUpTo && isUnread(event, me)).length);
  const events = [...fold(page, chat.events), ...chat.events];
  const preview = events.findLast(isShown) ?? chat.preview;
  return arrived({ ...chat, events, floor, older, preview }, page, me);
}

/** Own messages that came back are no longer on their way. @param {Chat} chat @param {readonly ThreadEvent[]} events @param {string} me @returns {Chat} */
function arrived(chat, events, me) {
  if (chat.pending.length === 0) return chat;
  const own = new Set(events.map((event) => (event.kind === 'message' && event.from.userId === me ? event.clientMessageId : '')));
  return { ...chat, pending: chat.pending.filter(({ clientMessageId }) => !own.has(clientMessageId)) };
}

/** Who is in it and what it is about, after an event. @param {Chat} chat @param {ThreadEvent} event @returns {Chat} */
function withMembers(chat, event) {
  switch (event.kind) {
    case 'message': {
      const writer = event.from.userId;
      if (writer === undefined || !chat.typing.has(writer)) return chat;
      return { ...chat, typing: new Map([...chat.typing].filter(([who]) => who !== writer)) };
    }
    case 'membersAdded': {
      const here = new Set(chat.members.map(({ userId }) => userId));
      const added = event.members.filter(({ userId }) => !here.has(userId)).map((member) => ({ ...member, lastReadSeq: 0 }));
      return { ...chat, members: [...chat.members, ...added] };
    }
    case 'memberRemoved':
      return { ...chat, members: chat.members.filter(({ userId }) => userId !== event.userId) };
    case 'topicChanged':
      return { ...chat, topic: event.topic };
    default:
      return chat;
  }
}

/**
 * Somebody has read it up to there.
 *
 * @param {Chat} chat @param {string} userId @param {number} seq @param {string} me
 * @returns {Chat} With `older` at -1 when only the server can say how much is unread by now.
 */
export function readBy(chat, userId, seq, me) {
  const members = chat.members.map((member) =>
    member.userId === userId && member.lastReadSeq < seq ? { ...member, lastReadSeq: seq } : member,
  );
  if (userId !== me) return { ...chat, members };
  if (seq <= chat.readUpTo) return chat;
  return { ...chat, members, readUpTo: seq, older: seq >= chat.floor || chat.older === 0 ? 0 : -1 };
}

/** @param {Chat} chat @param {string} userId @param {number} now @returns {Chat} */
export const typed = (chat, userId, now) => ({ ...chat, typing: new Map(chat.typing).set(userId, now + TYPING_MS) });

/** @param {Chat} chat @param {number} now @returns {Chat} */
export function quiet(chat, now) {
  const typing = new Map([...chat.typing].filter(([, until]) => until > now));
  return typing.size === chat.typing.size ? chat : { ...chat, typing };
}

/** An own message is to be sent, or sent again. @param {Chat} chat @param {Outgoing} own @returns {Chat} */
export function queue(chat, own) {
  const at = chat.pending.findIndex(({ clientMessageId }) => clientMessageId === own.clientMessageId);
  // Where it stands it stays: an own message that is tried again does not overtake those after it.
  return { ...chat, pending: at < 0 ? [...chat.pending, own] : chat.pending.with(at, own), divider: null };
}

/** @param {Chat} chat @param {string} clientMessageId @param {Partial<Outgoing>} change @returns {Chat} */
export function settle(chat, clientMessageId, change) {
  const pending = chat.pending.map((own) => (own.clientMessageId === clientMessageId ? { ...own, ...change } : own));
  return { ...chat, pending: pending.filter(({ state, seq }) => state !== 'sent' || seq > chat.lastSeq) };
}

/** @param {Chat} chat @param {string} clientMessageId @returns {Chat} */
export const discard = (chat, clientMessageId) => ({
  ...chat,
  pending: chat.pending.filter((own) => own.clientMessageId !== clientMessageId),
});

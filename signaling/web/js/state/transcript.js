/**
 * What stands in a thread from top to bottom: days, the line before what is new, messages in groups, quiet lines.
 *
 * Why keys: the page keeps an element for each key. An own message has the same key on its way and when it is there,
 * so that it does not flicker when it arrives; and nothing moves when something is put before it.
 *
 *   chat (events, pending, divider) -> entriesOf -> ui/chat-thread.js
 */

import { indexOf, isMark } from './fold.js';

/** @import { Chat, Outgoing } from './chat.js' */
/** @import { MessageEvent_, ThreadEvent } from '../protocol/messages.js' */

/** @typedef {{ kind: 'day', key: string, time: string }} DayEntry */
/** @typedef {{ kind: 'new', key: string }} NewEntry */
/** @typedef {{ kind: 'line', key: string, event: ThreadEvent }} LineEntry */
/** @typedef {{ event: MessageEvent_ | null, seq: number }} Answered Null: it lies further back than what is here. */
/** @typedef {{ kind: 'message', key: string, event: MessageEvent_, first: boolean, own: boolean, answered: Answered | null }} MessageEntry `first` of its group. */
/** @typedef {{ kind: 'own', key: string, outgoing: Outgoing, first: boolean, answered: Answered | null }} OwnEntry */
/** @typedef {DayEntry | NewEntry | LineEntry | MessageEntry | OwnEntry} Entry */

/** Messages of one person within this time share one heading. */
const GROUP_MS = 3 * 60_000;

/** @type {ReadonlySet<string>} Kinds that say nothing, or that are in the messages. */
const LINES = new Set([
  'chatCreated',
  'membersAdded',
  'memberRemoved',
  'topicChanged',
  'meetingStarted',
  'meetingEnded',
  'participantJoined',
  'participantLeft',
  'recordingStarted',
  'recordingPaused',
  'recordingResumed',
  'recordingInterrupted',
  'recordingReady',
  'recordingFailed',
  'phoneCall',
]);

/** @param {string} time */
const dayOf = (time) => new Date(time).toDateString();

/** @param {MessageEvent_} event */
const writer = ({ from }) => from.userId ?? `${from.participantId} ${from.displayName}`;

/** @param {Chat} chat @param {string} me @returns {Entry[]} */
export function entriesOf(chat, me) {
  /** @type {Entry[]} */
  const entries = [];
  const keys = new Set();
  /** @type {ThreadEvent | null} The one above, when it is a message. */
  let above = null;
  let day = '';
  // Where the new part begins is not known while it lies further back.
  let isNew = chat.divider === null || chat.divider < chat.floor;
  for (const event of chat.events) {
    if (isMark(event) || (event.kind !== 'message' && !LINES.has(event.kind))) continue;
    if (day !== dayOf(event.time)) {
      day = dayOf(event.time);
      entries.push({ kind: 'day', key: `day ${day}`, time: event.time });
      above = null;
    }
    if (event.kind !== 'message') {
      entries.push({ kind: 'line', key: event.id, event });
      above = null;
      continue;
    }
    const own = event.from.userId === me;
    if (!isNew && !own && event.seq > (chat.divider ?? 0)) {
      isNew = true;
      entries.push({ kind: 'new', key: 'new' });
      above = null;
    }
    // Two places of one's own in a call may have used the same name for different messages.
    const named = `own ${event.clientMessageId}`;
    const key = own && !keys.has(named) ? named : event.id;
    keys.add(key);
    entries.push({ kind: 'message', key, event, first: !follows(above, event), own, answered: answeredBy(chat, event.replyTo) });
    above = event;
  }
  let first = above?.kind !== 'message' || above.from.userId !== me;
  for (const outgoing of chat.pending) {
    entries.push({ kind: 'own', key: `own ${outgoing.clientMessageId}`, outgoing, first, answered: answeredBy(chat, outgoing.replyTo ?? undefined) });
    first = false;
  }
  return entries;
}

/** @param {ThreadEvent | null} above @param {MessageEvent_} event */
const follows = (above, event) =>
  above?.kind === 'message' && writer(above) === writer(event) && Date.parse(event.time) - Date.parse(above.time) < GROUP_MS;

/** @param {Chat} chat @param {number | undefined} seq @returns {Answered | null} */
function answeredBy({ events }, seq) {
  if (seq === undefined) return null;
  const event = events[indexOf(events, seq)];
  return { seq, event: event?.kind === 'message' ? event : null };
}

/**
 * Who has read the newest own message.
 *
 * @param {Chat} chat @param {string} me
 * @returns {string[] | null} Names; null when the newest message is not one's own, or on its way.
 */
export function seenBy({ events, pending, members }, me) {
  const last = events.findLast((event) => event.kind === 'message');
  if (pending.length > 0 || last?.kind !== 'message' || last.from.userId !== me || last.deleted) return null;
  return members.filter(({ userId, lastReadSeq }) => userId !== me && lastReadSeq >= last.seq).map(({ displayName }) => displayName);
}

/**
 * The chat of a meeting as this page knows it: the durable events in order, and what is still on its way.
 *
 * Why apart from `meeting.js`: a thread outlives the call, and its two rules (nothing twice, nothing missing) are
 * easier to see and to test alone.
 *
 *   welcome.events, event -> addEvents -> ui/chat.js;   own text -> queue -> (acknowledged | failed) -> event
 */

import { fold } from './fold.js';

/** @import { ThreadEvent } from '../protocol/messages.js' */

/** @typedef {{ clientMessageId: string, text: string, state: 'sending' | 'sent' | 'failed' }} OwnMessage */
/**
 * @typedef {object} Thread
 * @property {readonly ThreadEvent[]} events In order of their sequence.
 * @property {number} cursor The last sequence seen; what a new connection asks to continue from.
 * @property {boolean} gap Something is missing between the cursor and a later event: connect again.
 * @property {readonly OwnMessage[]} pending Own messages that have not come back as events.
 * @property {number} readUpTo The last sequence that the person has had before their eyes.
 */

/** @type {Thread} */
export const EMPTY_THREAD = { events: [], cursor: 0, gap: false, pending: [], readUpTo: 0 };

/**
 * Takes events as they come one by one. An event that leaves a hole is not taken: `gap` asks for a new connection,
 * which continues from the cursor.
 *
 * @param {Thread} thread
 * @param {readonly ThreadEvent[]} incoming
 * @returns {Thread}
 */
export function addEvents(thread, incoming) {
  const fresh = inOrder(thread, incoming);
  /** @type {ThreadEvent[]} */
  const taken = [];
  let { cursor } = thread;
  for (const event of fresh) {
    // A view may begin anywhere (a guest's begins at this run), but from there on it has no holes.
    if (cursor > 0 && event.seq > cursor + 1) break;
    cursor = event.seq;
    taken.push(event);
  }
  const gap = taken.length < fresh.length;
  return taken.length === 0 && gap === thread.gap ? thread : { ...append(thread, taken, cursor), gap };
}

/**
 * Takes the events of a `welcome`. Holes in them are not ours to judge: the server says with its cursor how far the
 * whole of what this client may see reaches.
 *
 * @param {Thread} thread
 * @param {readonly ThreadEvent[]} events
 * @param {number} cursor
 * @returns {Thread}
 */
export const resume = (thread, events, cursor) => ({
  ...append(thread, inOrder(thread, events), Math.max(thread.cursor, cursor)),
  gap: false,
});

/** @param {Thread} thread @param {readonly ThreadEvent[]} incoming @returns {ThreadEvent[]} The new ones, each once. */
function inOrder(thread, incoming) {
  const bySeq = new Map(incoming.filter(({ seq }) => seq > thread.cursor).map((event) => [event.seq, event]));
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
}

/** @param {Thread} thread @param {readonly ThreadEvent[]} taken @param {number} cursor @returns {Thread} */
function append(thread, taken, cursor) {
  const arrived = new Set(taken.map((event) => (event.kind === 'message' ? event.clientMessageId : '')));
  return {
    ...thread,
    // A welcome brings messages as they are; a change that comes later is put into what is here.
    events: taken.length === 0 ? thread.events : fold([...thread.events, ...taken], taken),
    cursor,
    pending: thread.pending.filter(({ clientMessageId }) => !arrived.has(clientMessageId)),
  };
}

/** @param {Thread} thread @param {string} clientMessageId @param {string} text @returns {Thread} */
export function queue(thread, clientMessageId, text) {
  const others = thread.pending.filter((own) => own.clientMessageId !== clientMessageId);
  return { ...thread, pending: [...others, { clientMessageId, text, state: 'sending' }] };
}

/** @param {Thread} thread @param {string} clientMessageId @param {'sent' | 'failed'} state @returns {Thread} */
export function settle(thread, clientMessageId, state) {
  return {
    ...thread,
    pending: thread.pending.map((own) => (own.clientMessageId === clientMessageId ? { ...own, state } : own)),
  };
}

/** @param {Thread} thread @returns {Thread} */
export function markRead(thread) {
  return thread.readUpTo === thread.cursor ? thread : { ...thread, readUpTo: thread.cursor };
}

/** @param {Thread} thread @param {string | null} self @returns {number} Messages of others that nobody has looked at. */
export function unreadCount(thread, self) {
  let unread = 0;
  for (const event of thread.events) {
    if (event.seq > thread.readUpTo && event.kind === 'message' && event.from.participantId !== self) unread += 1;
  }
  return unread;
}

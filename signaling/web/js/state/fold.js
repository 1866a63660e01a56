/**
 * Puts what happened to messages (changed, taken back, felt about) into the messages themselves.
 *
 * Why on the page too: the server's store folds them as well, so a page that was loaded shows them as they are; what
 * comes afterwards comes as an event, and must look the same. To fold the same thing twice changes nothing.
 */

import { keyOf } from '../protocol/chat-events.js';

/** @import { MessageEvent_, ThreadEvent } from '../protocol/messages.js' */
/** @import { MessageDeleted, MessageEdited, MessageReaction } from '../protocol/chat-events.js' */

/** @typedef {Extract<ThreadEvent, MessageEdited | MessageDeleted | MessageReaction>} Mark */

/** @param {ThreadEvent} event @returns {event is Mark} */
export const isMark = (event) => event.kind === 'messageEdited' || event.kind === 'messageDeleted' || event.kind === 'messageReaction';

/** @param {MessageEvent_} message @param {Mark} mark @returns {MessageEvent_} */
export function marked(message, mark) {
  if (message.deleted) return message;
  const { html: _html, mentions: _mentions, reactions = {}, ...bare } = message;
  switch (mark.kind) {
    case 'messageEdited': {
      const { text, html, mentions, time } = mark;
      return { ...bare, text, edited: time, ...(html !== undefined && { html }), ...(mentions && { mentions }), ...(message.reactions && { reactions }) };
    }
    case 'messageDeleted':
      return { ...bare, text: '', deleted: true };
    case 'messageReaction': {
      const { [keyOf(mark.by)]: _before, ...others } = reactions;
      return { ...message, reactions: mark.reaction === null ? others : { ...others, [keyOf(mark.by)]: mark.reaction } };
    }
  }
}

/**
 * @param {readonly ThreadEvent[]} events In order of their seq.
 * @param {readonly ThreadEvent[]} news Of which the marks are put into `events`.
 * @returns {readonly ThreadEvent[]} The same array when nothing changed.
 */
export function fold(events, news) {
  /** @type {ThreadEvent[] | null} */
  let copy = null;
  for (const mark of news) {
    if (!isMark(mark)) continue;
    const at = indexOf(copy ?? events, mark.message);
    const message = at < 0 ? undefined : (copy ?? events)[at];
    if (message?.kind !== 'message') continue;
    copy ??= [...events];
    copy[at] = marked(message, mark);
  }
  return copy ?? events;
}

/** @param {readonly ThreadEvent[]} events @param {number} seq @returns {number} -1 when it is not there. */
export function indexOf(events, seq) {
  let [low, high] = [0, events.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = /** @type {ThreadEvent} */ (events[middle]).seq;
    if (found === seq) return middle;
    if (found < seq) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

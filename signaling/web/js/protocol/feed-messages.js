/**
 * The feed's messages: what happens in all of a signed-in person's chats, as types, a constructor and one parser.
 *
 * Why apart from `messages.js`: a meeting's connection and the feed are two conversations over the same carriers, and
 * each has its own list of what may be said. Both read the same golden files as the server.
 *
 *   bytes -> parseFeedMessage -> feed.js -> state/chats.js
 */

import { count, optional, shape, text } from './checks.js';
import { event } from './messages.js';

/** @import { Check } from './checks.js' */
/** @import { ThreadEvent } from './messages.js' */

/** @typedef {{ type: 'subscribed', cursor: string }} Subscribed */
/** @typedef {{ type: 'chatEvent', cursor: string, chatId: string, event: ThreadEvent }} ChatEventMessage */
/** @typedef {{ type: 'chatRead', cursor: string, chatId: string, userId: string, seq: number }} ChatReadMessage */
/** @typedef {{ type: 'typing', chatId: string, userId: string }} TypingMessage */
/** @typedef {{ type: 'resync', cursor: string }} FeedResync The lists are to be read anew. */
/** @typedef {{ type: 'error', code: string, message: string }} FeedError */
/** @typedef {ChatEventMessage | ChatReadMessage | TypingMessage} News What changes the state. */
/** @typedef {News | Subscribed | FeedResync | FeedError | { type: 'ping' } | { type: 'pong' }} FeedMessage */

/** @param {string | null} cursor Null: from now on. @param {string} [token] Without one, the session cookie speaks. */
export const subscribe = (cursor, token) => ({
  type: /** @type {const} */ ('subscribe'),
  ...(token === undefined ? {} : { token }),
  ...(cursor === null ? {} : { cursor }),
});

/** @type {Record<string, Check>} */
const SHAPES = {
  subscribed: shape({ cursor: text }),
  chatEvent: shape({ cursor: text, chatId: text, event }),
  chatRead: shape({ cursor: text, chatId: text, userId: text, seq: count }),
  typing: shape({ chatId: text, userId: text }),
  resync: shape({ cursor: text }),
  error: shape({ id: optional(count), code: text, message: text }),
  ping: shape({}),
  pong: shape({}),
};

/** @param {unknown} value A parsed JSON value. @returns {FeedMessage | null} Null for what is not understood. */
export function parseFeedMessage(value) {
  if (typeof value !== 'object' || value === null) return null;
  const type = /** @type {{ type?: unknown }} */ (value).type;
  if (typeof type !== 'string' || !Object.hasOwn(SHAPES, type)) return null;
  return SHAPES[type]?.(value) ? /** @type {FeedMessage} */ (value) : null;
}

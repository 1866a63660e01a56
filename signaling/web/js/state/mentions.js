/**
 * Whom a message speaks to: the `@` that is being typed, who fits, and where names stand in a text.
 *
 * Why a mention is text and a list beside it: the text reads well everywhere, and the list says who is meant, whatever
 * two people are called.
 */

/** @import { Mention } from '../protocol/chat-events.js' */
/** @import { Member } from './chat.js' */

/** People offered at once. */
const OFFERED = 6;

/**
 * @param {string} text @param {number} caret
 * @returns {{ start: number, query: string } | null} The mention that is being typed at the caret.
 */
export function mentionAt(text, caret) {
  const found = /(?:^|[\s(])@([^\s@]{0,40}(?: [^\s@]{1,40})?)$/u.exec(text.slice(0, caret));
  const query = found?.[1];
  return query === undefined ? null : { start: caret - query.length - 1, query };
}

/** @param {readonly Member[]} members @param {string} query @param {string} me @returns {Member[]} */
export function offered(members, query, me) {
  const wanted = query.toLocaleLowerCase();
  return members
    .filter(({ userId, displayName }) => {
      const name = displayName.toLocaleLowerCase();
      return userId !== me && (name.startsWith(wanted) || name.split(/\s+/u).some((word) => word.startsWith(wanted)));
    })
    .slice(0, OFFERED);
}

/** Those of `chosen` whose name still stands in the text, each once. @param {string} text @param {readonly Mention[]} chosen @returns {Mention[]} */
export const mentionedIn = (text, chosen) => [
  ...new Map(chosen.filter(({ displayName }) => text.includes(`@${displayName}`)).map((mention) => [mention.userId, mention])).values(),
];

/**
 * Cuts a text at the names of those whom it speaks to.
 *
 * @param {string} text @param {readonly Mention[]} mentions
 * @returns {(string | Mention)[]}
 */
export function cutAtMentions(text, mentions) {
  // The longest first: “@Ada Lovelace” is not “@Ada” and a rest.
  const longestFirst = [...mentions].sort((a, b) => b.displayName.length - a.displayName.length);
  /** @type {(string | Mention)[]} */
  let parts = [text];
  for (const mention of longestFirst) {
    parts = parts.flatMap((part) => {
      if (typeof part !== 'string') return [part];
      return part.split(`@${mention.displayName}`).flatMap((piece, index) => (index === 0 ? [piece] : [mention, piece]));
    });
  }
  return parts.filter((part) => part !== '');
}

/**
 * Makes web addresses in a message into links, and everything else into plain text.
 *
 * Why by hand: a message is never parsed as HTML, so nothing that somebody writes can become more than a link.
 */

import { h } from './dom.js';

const ADDRESS = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/gu;

/** @param {string} text @returns {(string | HTMLAnchorElement)[]} */
export function linked(text) {
  /** @type {(string | HTMLAnchorElement)[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    parts.push(text.slice(end, match.index));
    parts.push(h('a', { attrs: { href: match[0], target: '_blank', rel: 'noopener noreferrer' } }, match[0]));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

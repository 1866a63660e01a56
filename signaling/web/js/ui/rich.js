/**
 * The content of a message as elements: plain text with links and mentions, or the marks that the server lets through.
 *
 * Why taken apart again: the server has cleaned the HTML, but this page does not have to trust it. `DOMParser` makes a
 * document in which nothing runs or loads; from it only tags of this list are built anew, without their attributes.
 */

import { cutAtMentions } from '../state/mentions.js';
import { h } from './dom.js';
import { linked } from './links.js';

/** @import { Mention } from '../protocol/chat-events.js' */
/** @import { MessageEvent_ } from '../protocol/messages.js' */

const TAGS = /** @type {const} */ (['p', 'br', 'b', 'strong', 'i', 'em', 'u', 's', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'sub', 'sup']);
/** Their content is not for reading. */
const DROPPED = new Set(['script', 'style', 'template', 'noscript', 'iframe', 'object', 'embed', 'svg', 'math', 'title', 'textarea', 'select']);
const PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);
/** Deeper than this there are no marks, only text. */
const DEPTH_MAX = 40;

/** @param {Pick<MessageEvent_, 'text' | 'html' | 'mentions'>} message @param {string} me @returns {(Node | string)[]} */
export function bodyOf({ text, html, mentions = [] }, me) {
  if (html === undefined) return plain(text, mentions, me, true);
  return [...new DOMParser().parseFromString(html, 'text/html').body.childNodes].flatMap((node) => rebuilt(node, mentions, me, 0));
}

/** @param {Node} node @param {readonly Mention[]} mentions @param {string} me @param {number} depth @param {boolean} [inLink] @returns {(Node | string)[]} */
function rebuilt(node, mentions, me, depth, inLink = false) {
  if (node.nodeType === Node.TEXT_NODE) return plain(node.textContent ?? '', mentions, me, !inLink);
  if (!(node instanceof Element)) return [];
  const name = node.localName;
  if (DROPPED.has(name)) return [];
  if (depth >= DEPTH_MAX) return [node.textContent ?? ''];
  const href = name === 'a' && !inLink ? safe(node.getAttribute('href')) : null;
  const children = [...node.childNodes].flatMap((child) => rebuilt(child, mentions, me, depth + 1, inLink || href !== null));
  if (href !== null) return [h('a', { attrs: { href, target: '_blank', rel: 'noopener noreferrer nofollow' } }, ...children)];
  const tag = TAGS.find((one) => one === name);
  return tag === undefined ? children : [h(tag, {}, ...children)];
}

/** @param {string | null} href @returns {string | null} */
function safe(href) {
  const url = href === null ? null : parsed(href);
  return url !== null && PROTOCOLS.has(url.protocol) ? url.href : null;
}

/** @param {string} href */
function parsed(href) {
  try {
    return new URL(href);
  } catch {
    return null;
  }
}

/** @param {string} text @param {readonly Mention[]} mentions @param {string} me @param {boolean} links @returns {(Node | string)[]} */
function plain(text, mentions, me, links) {
  return cutAtMentions(text, mentions).flatMap(/** @returns {Node | string | (Node | string)[]} */ (part) => {
    if (typeof part !== 'string') return mentioned(part, me);
    return links ? linked(part) : part;
  });
}

/** @param {Mention} mention @param {string} me @returns {Node | string} */
const mentioned = ({ userId, displayName }, me) => h('span', { class: `mention${userId === me ? ' is-me' : ''}` }, `@${displayName}`);

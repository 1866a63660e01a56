/**
 * The quiet line about a call to one's own number: masked at first; for the called one whole, and to be called, once it is known.
 *
 *   event -> masked words -> (app/callers.js) -> the same words around a link
 */

import { phones } from '../text/en-phone.js';
import { telOf } from '../text/format.js';
import { h } from './dom.js';

/** @import { PhoneCallEvent } from '../protocol/messages.js' */

/** @typedef {(event: PhoneCallEvent) => Promise<string | null>} CallerNumber Null: the masked one is all there is. */

/** What was made of a call is said without naming who called. @type {ReadonlySet<PhoneCallEvent['state']>} */
const NAMELESS = new Set(/** @type {const} */ (['answered', 'declined']));

/** @param {PhoneCallEvent} event @param {CallerNumber} number @returns {HTMLElement} */
export function callLine(event, number) {
  const line = h('span', {}, phones.lines[event.state](event.caller));
  if (NAMELESS.has(event.state)) return line;
  void number(event).then((whole) => {
    if (whole === null) return;
    const [before, after] = around(phones.lines[event.state](whole), whole);
    line.replaceChildren(before, h('a', { class: 'caller-number', attrs: { href: telOf(whole), dir: 'ltr' } }, whole), after);
  });
  return line;
}

/** What stands before the number and after it, wherever a language puts it. @param {string} text @param {string} number @returns {[string, string]} */
export function around(text, number) {
  const at = text.indexOf(number);
  return at < 0 ? [`${text} `, ''] : [text.slice(0, at), text.slice(at + number.length)];
}

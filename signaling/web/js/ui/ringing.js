/**
 * Somebody calls one's number: a notice at the top of the page, or among a meeting's, for as long as it rings.
 *
 * Why it does not take the focus: it comes while somebody types. Those who do not see it are told by an alert, which is there
 * before, as what appears together with its words is not read by every screen reader.
 */

import { phones as words } from '../text/en-phone.js';
import { h, icon, keyed, setText } from './dom.js';

/** @import { Ringing } from '../app/ringing.js' */
/** @import { RingingCall } from '../state/ringing.js' */

/** @param {Ringing} ringing @param {string} answer What the button says: in a meeting also what becomes of that. */
export function createRinging(ringing, answer = words.answer) {
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {WeakMap<HTMLElement, (call: RingingCall) => void>} */
  const painters = new WeakMap();
  const list = h('ul', { class: 'ringing-list' });
  const element = h('section', { class: 'ringing', attrs: { 'aria-label': words.ringing } }, h('div', { attrs: { role: 'alert' } }, list));

  /** @param {readonly RingingCall[]} calls */
  const update = (calls) => {
    const hadFocus = list.contains(document.activeElement);
    keyed(list, elements, calls, ({ callId }) => callId, (call) => {
      const { row, paint } = createRow(call, ringing, answer);
      painters.set(row, paint);
      return row;
    });
    for (const call of calls) {
      const row = elements.get(call.callId);
      if (row) painters.get(row)?.(call);
    }
    if (hadFocus && !list.contains(document.activeElement)) focusMain();
  };
  const end = ringing.store.subscribe(update);
  update(ringing.store.state);
  return {
    element,
    dispose() {
      end();
      ringing.close();
    },
  };
}

/** Whoever has just pressed a button that goes away does not begin at the top of the page. */
function focusMain() {
  const main = document.getElementById('main');
  if (!main) return;
  main.tabIndex = -1;
  main.focus({ preventScroll: true });
}

/** @param {RingingCall} call @param {Ringing} ringing @param {string} answerWords */
function createRow(call, { answer, decline }, answerWords) {
  const text = h('p', {});
  /** @type {string | null | undefined} Masked until it is known whole. */
  let shown;
  /** @param {RingingCall} call */
  const paint = ({ caller }) => {
    if (caller === shown) return;
    shown = caller;
    setText(text, words.isCalling(caller));
  };
  /** @param {(call: RingingCall) => Promise<string>} act */
  const press = (act) => async () => {
    const problem = await act(call);
    if (problem !== '') setText(text, problem);
  };
  const row = h(
    'li',
    { class: 'ringing-call', data: { callId: call.callId } },
    icon('phone'),
    text,
    h('button', { class: 'button primary small', attrs: { type: 'button' }, on: { click: press(answer) } }, icon('phone'), answerWords),
    h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: press(decline) } }, words.decline),
  );
  return { row, paint };
}

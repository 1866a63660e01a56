/**
 * Somebody calls one's number: a notice at the top of the page for as long as it rings.
 *
 * Why it does not take the focus: it comes while somebody types. Those who do not see it are told by an alert, which is there
 * before, as what appears together with its words is not read by every screen reader.
 */

import { phones as words } from '../text/en-phone.js';
import { h, icon, keyed, setText } from './dom.js';

/** @import { Ringing } from '../app/ringing.js' */
/** @import { RingingCall } from '../state/ringing.js' */

/** @param {Ringing} ringing */
export function createRinging(ringing) {
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  const list = h('ul', { class: 'ringing-list' });
  const element = h('section', { class: 'ringing', attrs: { 'aria-label': words.ringing } }, h('div', { attrs: { role: 'alert' } }, list));

  /** @param {RingingCall} call */
  const create = (call) => {
    const text = h('p', {}, words.isCalling(call.caller));
    /** @param {(call: RingingCall) => Promise<string>} act */
    const press = (act) => async () => {
      const problem = await act(call);
      if (problem !== '') setText(text, problem);
    };
    const answer = h('button', { class: 'button primary small', attrs: { type: 'button' }, on: { click: press(ringing.answer) } }, icon('phone'), words.answer);
    const decline = h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: press(ringing.decline) } }, words.decline);
    return h('li', { class: 'ringing-call', data: { callId: call.callId } }, icon('phone'), text, answer, decline);
  };

  /** @param {readonly RingingCall[]} calls */
  const update = (calls) => {
    keyed(list, elements, calls, ({ callId }) => callId, create);
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

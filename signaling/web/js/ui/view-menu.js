/**
 * How the person wants to see the others: one button, a short list, and a switch for narrow paths.
 *
 * Why the browser's popover: it closes on Esc and on a click elsewhere, and stands above everything, by itself.
 */

import { en } from '../text/en.js';
import { h, icon, setAttr } from './dom.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { View } from '../state/scene.js' */

/** @type {View[]} */
const VIEWS = ['grid', 'gallery', 'speaker'];

/** @param {{ view: (view: View) => void, saveBandwidth: (on: boolean) => void }} context */
export function createViewMenu({ view, saveBandwidth }) {
  const text = en.meeting.view;
  const choices = VIEWS.map((name) => {
    const input = h('input', { attrs: { type: 'radio', name: 'view', value: name }, on: { change: () => view(name) } });
    return { name, input, element: choice(input, text[name].name, text[name].hint) };
  });
  const lowBandwidth = h('input', { attrs: { type: 'checkbox', role: 'switch' }, on: { change: () => saveBandwidth(lowBandwidth.checked) } });
  const menu = h(
    'div',
    { class: 'view-menu', attrs: { id: 'view-menu', popover: 'auto', role: 'dialog', 'aria-label': text.label } },
    h('fieldset', {}, h('legend', {}, text.label), ...choices.map(({ element }) => element)),
    choice(lowBandwidth, text.lowBandwidth.name, text.lowBandwidth.hint),
  );
  const button = h(
    'button',
    { class: 'button icon-only quiet', attrs: { type: 'button', popovertarget: 'view-menu', 'aria-label': text.label, title: text.label, 'aria-expanded': 'false' } },
    icon('view'),
  );
  menu.addEventListener('toggle', (event) => {
    const isOpen = /** @type {ToggleEvent} */ (event).newState === 'open';
    setAttr(button, 'aria-expanded', String(isOpen));
    if (isOpen) choices.find(({ input }) => input.checked)?.input.focus();
  });
  return {
    element: h('div', { class: 'view' }, button, menu),
    /** @param {MeetingState} state */
    update(state) {
      for (const { name, input } of choices) input.checked = name === state.view;
      lowBandwidth.checked = state.lowBandwidth;
    },
  };
}

/** @param {HTMLInputElement} input @param {string} name @param {string} hint */
function choice(input, name, hint) {
  return h('label', { class: 'view-choice' }, input, h('span', {}, h('span', { class: 'view-name' }, name), h('span', { class: 'view-hint' }, hint)));
}

/**
 * Phones in the people panel: the box to call one, and those that are being called.
 *
 * A call is asked for over HTTP and answered at once; how it goes is told to everybody, and drawn from the state.
 */

import { ApiError } from '../protocol/http.js';
import { may } from '../state/order.js';
import { phones as words } from '../text/en-phone.js';
import { field, h, icon, keyed, setAttr, setHidden, setText } from './dom.js';
import { explain } from './problems.js';
import { paintFace } from './tile.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { PhoneCall } from '../protocol/messages.js' */

/**
 * @typedef {object} PhonesContext
 * @property {(number: string, name: string) => Promise<void>} dial
 * @property {(callId: string) => Promise<void>} hangUp
 * @property {(error: unknown) => void} refused What could not be done is told as a notice.
 */

/** Those words fit better that know of phones. @param {unknown} error */
export const explainCall = (error) => (error instanceof ApiError ? words.problem(error.code) : undefined) ?? explain(error);

/** @param {PhonesContext} context */
export function createPhoneBox({ dial }) {
  const number = field(
    words.number,
    { name: 'phoneNumber', type: 'tel', autocomplete: 'tel', maxlength: '40', required: true, 'aria-errormessage': 'phone-problem' },
    words.numberHint,
  );
  const name = field(words.name, { name: 'phoneName', autocomplete: 'off', maxlength: '64' }, words.nameHint);
  const problem = h('p', { class: 'problem', attrs: { id: 'phone-problem', role: 'alert' } });
  const call = h('button', { class: 'button primary', attrs: { type: 'submit' } }, icon('phone'), words.call);
  // The problem stands below the number, where the eye is.
  number.element.append(problem);
  const toggle = h(
    'button',
    { class: 'button wide', attrs: { type: 'button', 'aria-expanded': 'false', 'aria-controls': 'phone-form' }, on: { click: () => open(form.hidden === true) } },
    icon('phone'),
    words.callPhone,
  );
  const form = h(
    'form',
    { class: 'phone-form', attrs: { id: 'phone-form', novalidate: true, hidden: true, 'aria-label': words.callPhone }, on: { submit: (event) => void submit(event) } },
    number.element,
    name.element,
    call,
  );
  const element = h('div', { class: 'phone-box' }, toggle, form);

  /** @param {boolean} isOpen */
  const open = (isOpen) => {
    setHidden(form, !isOpen);
    setAttr(toggle, 'aria-expanded', String(isOpen));
    (isOpen ? number.input : toggle).focus();
  };
  /** @param {string} text */
  const tell = (text) => {
    setText(problem, text);
    setAttr(number.input, 'aria-invalid', text === '' ? null : 'true');
    if (text !== '') number.input.focus();
  };
  /** @param {SubmitEvent} event */
  const submit = async (event) => {
    event.preventDefault();
    const typed = number.input.value.trim();
    if (call.disabled) return;
    tell(typed === '' ? words.numberMissing : '');
    if (typed === '') return;
    call.disabled = true;
    try {
      await dial(typed, name.input.value.trim());
      number.input.value = '';
      name.input.value = '';
      open(false);
    } catch (error) {
      tell(explainCall(error));
    }
    call.disabled = false;
  };
  // Esc closes the box first, and the panel only then.
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation();
    open(false);
  });
  return {
    element,
    focus: () => toggle.focus(),
    /** @param {MeetingState} state */
    update: (state) => setHidden(element, !may(state, 'dialOut')),
  };
}

/** Those who are being called, above those who are here. @param {PhonesContext} context @param {() => void} focusElsewhere */
export function createCalling(context, focusElsewhere) {
  const list = h('ul', { class: 'people', attrs: { 'aria-labelledby': 'calling-heading' } });
  const element = h('section', { class: 'calling', attrs: { 'aria-labelledby': 'calling-heading' } }, h('h3', { attrs: { id: 'calling-heading' } }, words.calling), list);
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {WeakMap<HTMLElement, (call: PhoneCall, mayHangUp: boolean) => void>} */
  const painters = new WeakMap();
  return {
    element,
    /** @param {MeetingState} state */
    update(state) {
      const { phoneCalls } = state;
      const hadFocus = element.contains(document.activeElement);
      setHidden(element, phoneCalls.length === 0);
      keyed(list, elements, phoneCalls, ({ id }) => id, ({ id }) => {
        const { row, paint } = createRow(id, context);
        painters.set(row, paint);
        return row;
      });
      for (const call of phoneCalls) {
        const row = elements.get(call.id);
        if (row) painters.get(row)?.(call, may(state, 'dialOut'));
      }
      // Whoever has just pressed a button that goes away does not begin at the top of the page.
      if (hadFocus && !element.contains(document.activeElement)) focusElsewhere();
    },
  };
}

/** @param {string} id @param {PhonesContext} context */
function createRow(id, { hangUp, refused }) {
  const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
  const name = h('span', { class: 'person-name' });
  const status = h('span', { class: 'person-note call-status' });
  const end = h(
    'button',
    {
      class: 'button small call-end',
      attrs: { type: 'button' },
      on: {
        click: async () => {
          if (end.ariaDisabled === 'true') return;
          // Not `disabled`: the browser would take the focus away, to nowhere.
          end.ariaDisabled = 'true';
          await hangUp(id).catch(refused);
          end.ariaDisabled = null;
        },
      },
    },
    words.hangUp,
  );
  const row = h('li', { class: 'person', data: { callId: id } }, face, h('span', { class: 'person-words' }, name, status), end);
  return {
    row,
    /** @param {PhoneCall} call @param {boolean} mayHangUp */
    paint(call, mayHangUp) {
      setAttr(row, 'data-status', call.status);
      setAttr(row, 'data-end', call.endReason);
      paintFace(face, call.name, 'phone');
      setText(name, call.name);
      setText(status, words.status(call));
      setAttr(end, 'aria-label', words.hangUpOn(call.name));
      setHidden(end, !mayHangUp || call.status === 'ended');
    },
  };
}

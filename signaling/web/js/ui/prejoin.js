/**
 * Before joining: which meeting, who one is, how one looks; one button.
 */

import { hasDevices } from '../media/devices.js';
import { en } from '../text/en.js';
import { brand } from './brand.js';
import { field, h, setHidden, setText } from './dom.js';
import { createPreview } from './preview.js';

/** @import { JoinPreview } from '../protocol/http.js' */
/** @import { CaptureKind } from '../protocol/messages.js' */
/** @import { Wanted } from '../app/place.js' */

/** @typedef {{ name: string, wanted: Wanted, tracks: Partial<Record<CaptureKind, MediaStreamTrack>> }} JoinWish */

/**
 * @param {object} context
 * @param {string} context.name Remembered from last time.
 * @param {Wanted} context.wanted
 * @param {string} context.fallbackTitle Until (or instead of) the server's word about the meeting.
 * @param {(wish: JoinWish) => void} context.join
 */
export function createPreJoin({ name, wanted, fallbackTitle, join }) {
  document.title = en.preJoin.title;
  const preview = createPreview(wanted);
  const subject = h('h1', {}, fallbackTitle);
  const details = h('p', { class: 'lead' });
  const recording = h('p', { class: 'callout is-recording', attrs: { hidden: true } }, en.meeting.recording);
  const nameField = field(en.preJoin.name, { name: 'displayName', autocomplete: 'name', maxlength: '64', required: true, value: name });
  const button = h('button', { class: 'button primary large', attrs: { type: 'submit' } }, en.preJoin.join);
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const form = h(
    'form',
    {
      class: 'prejoin-form',
      attrs: { novalidate: true },
      on: {
        submit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          submit();
        },
      },
    },
    nameField.element,
    problem,
    button,
  );
  const element = h(
    'div',
    { class: 'page' },
    brand(),
    h(
      'main',
      { class: 'prejoin', attrs: { id: 'main' } },
      preview.element,
      h('div', { class: 'prejoin-words' }, subject, details, recording, insecureNote(), form),
    ),
  );

  const submit = () => {
    const typed = nameField.input.value.trim();
    if (typed === '') {
      setText(problem, en.preJoin.nameMissing);
      nameField.input.setAttribute('aria-invalid', 'true');
      nameField.input.focus();
      return;
    }
    setText(problem, '');
    button.disabled = true;
    setText(button, en.preJoin.joining);
    join({ name: typed, wanted: preview.wanted(), tracks: preview.handOver() });
  };

  return {
    element,
    /** @param {JoinPreview} look */
    describe(look) {
      setText(subject, look.subject === '' ? en.preJoin.untitled : look.subject);
      const present = look.participants === 0 ? en.preJoin.nobody : en.preJoin.present(look.participants);
      setText(details, [look.organizer === '' ? '' : en.preJoin.organiser(look.organizer), present].filter(Boolean).join(' · '));
      setHidden(recording, !look.isRecording);
    },
    /** @param {string} displayName The signed-in person's, if the box is still empty. */
    suggestName(displayName) {
      if (nameField.input.value === '') nameField.input.value = displayName;
    },
    /** @param {string} text Why joining did not work; the button is back. */
    refuse(text) {
      setText(problem, text);
      button.disabled = false;
      setText(button, en.preJoin.join);
    },
    focus: () => {
      if (matchMedia('(pointer: fine)').matches) (nameField.input.value === '' ? nameField.input : button).focus();
    },
    dispose: preview.dispose,
  };
}

/** Browsers give no camera to plain http off localhost: say so, and show the way. */
function insecureNote() {
  if (hasDevices()) return null;
  const secure = new URL(window.location.href);
  secure.protocol = 'https:';
  return h('div', { class: 'callout' }, h('p', {}, en.preJoin.insecure), h('p', {}, h('a', { attrs: { href: secure.href } }, secure.href)));
}

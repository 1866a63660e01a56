/**
 * Agreeing to be recorded, where the organisation asks for it: the question, and a way to take the answer back.
 *
 * Why a dialog that comes by itself: until it is answered nobody hears or sees us, and we should know why. Whoever does not want to
 * answer now stays and watches; the notice keeps the question open, and so does every try to unmute.
 */

import { isRecording } from '../state/select.js';
import { en } from '../text/en.js';
import { openDialog } from './dialog.js';
import { h, icon, setHidden } from './dom.js';

/** @import { MeetingState } from '../state/meeting.js' */

/** @param {() => MeetingState} state @param {(given: boolean) => void} answer */
export function createConsent(state, answer) {
  const text = en.consent;
  /** @type {HTMLDialogElement | null} */
  let dialog = null;
  /** The recording for which the dialog came by itself. @type {string | null} */
  let askedFor = null;

  const isAsked = () => state().consent === 'asked';
  const ask = () => {
    if (dialog !== null) return;
    dialog = openDialog({
      heading: text.heading,
      body: [h('p', {}, text.text)],
      // It comes by itself: a key that was meant for something else must not be an agreement.
      actions: [
        h('button', { class: 'button quiet', attrs: { type: 'button', autofocus: true } }, text.notNow),
        h('button', { class: 'button primary', attrs: { type: 'button' }, on: { click: () => answer(true) } }, text.agree),
      ],
    });
    dialog.addEventListener('close', () => {
      dialog = null;
    });
  };
  const withdraw = h('button', { class: 'button small quiet', attrs: { type: 'button' }, on: { click: () => answer(false) } }, text.withdraw);
  const element = h(
    'div',
    { class: 'notice', data: { code: 'consent' }, attrs: { role: 'status' } },
    icon('record'),
    h('p', {}, text.held),
    h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: ask } }, text.answer),
  );

  return {
    element,
    withdraw,
    isAsked,
    ask,
    /** @param {MeetingState} now */
    update(now) {
      const asked = now.consent === 'asked';
      setHidden(element, !asked);
      setHidden(withdraw, now.consent !== 'given');
      if (!asked) {
        // A recording that is over asks again with the next one; an answer that was taken back keeps the notice alone.
        if (!isRecording(now)) askedFor = null;
        else if (now.consent === 'given') askedFor = now.recording.recordingId;
        dialog?.close();
      } else if (askedFor !== now.recording.recordingId) {
        askedFor = now.recording.recordingId;
        ask();
      }
    },
    dispose: () => dialog?.close(),
  };
}

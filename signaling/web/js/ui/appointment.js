/**
 * Meetings with a time: schedule one, or move it.
 *
 * Why apart from the start page: it is loaded when somebody opens one of these dialogs.
 *
 *   form (local time) -> ISO 8601 -> POST or PATCH -> the meeting, whose invitation is then handed out
 */

import { appointments as words } from '../text/en-appointments.js';
import { openDialog } from './dialog.js';
import { field, h, setText } from './dom.js';

/** @import { Meeting } from '../protocol/http.js' */

/**
 * @typedef {object} Appointment What the form gives.
 * @property {string} subject
 * @property {string} startDateTime
 * @property {string} endDateTime
 */

const HALF_HOUR = 30 * 60 * 1000;

/**
 * A moment as `datetime-local` wants it: by the clock on the wall.
 *
 * @param {Date} date
 */
export function onTheWall(date) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/**
 * The next full or half hour that is at least five minutes away, and half an hour after it.
 *
 * @param {number} now
 */
export function proposed(now) {
  const starts = Math.ceil((now + 5 * 60 * 1000) / HALF_HOUR) * HALF_HOUR;
  return { starts: new Date(starts), ends: new Date(starts + HALF_HOUR) };
}

/** @param {string} text */
const closing = (text) => h('button', { class: 'button quiet', attrs: { type: 'button' } }, text);

/**
 * @param {Meeting | null} meeting The one to change; null for a new one.
 * @param {(wish: Appointment) => Promise<Meeting>} save
 * @param {(error: unknown) => string} explain
 * @param {(saved: Meeting) => void} saved
 */
export function appointmentDialog(meeting, save, explain, saved) {
  const proposal = proposed(Date.now());
  const begin = meeting?.startDateTime ? new Date(meeting.startDateTime) : proposal.starts;
  const end = meeting?.endDateTime ? new Date(meeting.endDateTime) : new Date(begin.getTime() + HALF_HOUR);
  const subject = field(words.subject, { name: 'appointmentSubject', maxlength: '120', autocomplete: 'off', value: meeting?.subject ?? '' });
  const starts = field(words.starts, { name: 'starts', type: 'datetime-local', required: true, value: onTheWall(begin) });
  const ends = field(words.ends, { name: 'ends', type: 'datetime-local', required: true, value: onTheWall(end) });
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const done = h('button', { class: 'button primary', attrs: { type: 'submit' } }, meeting ? words.save : words.create);
  // Whoever moves the beginning moves the meeting, not its length.
  let length = end.getTime() - begin.getTime();
  starts.input.addEventListener('change', () => {
    const at = new Date(starts.input.value).getTime();
    if (!Number.isNaN(at)) ends.input.value = onTheWall(new Date(at + length));
  });
  ends.input.addEventListener('change', () => {
    const chosen = new Date(ends.input.value).getTime() - new Date(starts.input.value).getTime();
    if (chosen >= 0) length = chosen;
  });
  const form = h(
    'form',
    {
      class: 'account-form',
      attrs: { novalidate: true },
      on: {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          const [from, to] = [new Date(starts.input.value), new Date(ends.input.value)];
          if (Number.isNaN(from.getTime()) || Number.isNaN(to.getTime())) {
            setText(problem, words.noStart);
            starts.input.focus();
            return;
          }
          if (to < from) {
            setText(problem, words.endsFirst);
            ends.input.focus();
            return;
          }
          done.disabled = true;
          setText(problem, '');
          try {
            const now = await save({ subject: subject.input.value.trim(), startDateTime: from.toISOString(), endDateTime: to.toISOString() });
            dialog.close();
            saved(now);
          } catch (error) {
            setText(problem, explain(error));
          }
          done.disabled = false;
        },
      },
    },
    subject.element,
    starts.element,
    ends.element,
    problem,
    done,
  );
  const dialog = openDialog({ heading: meeting ? words.changeHeading : words.heading, body: [form], actions: [closing(words.cancel)] });
  subject.input.focus();
}

/**
 * The invitation of a meeting: what is sent to others, the numbers to call in by, and the organiser's PIN.
 *
 * Why the PIN stands apart: what is copied goes to everybody. Loaded when somebody opens it.
 */

import { invitationPath } from '../protocol/http.js';
import { appointments as words } from '../text/en-appointments.js';
import { phones } from '../text/en-phone.js';
import { en } from '../text/en.js';
import { span, telHref } from '../text/format.js';
import { copyButton, openDialog } from './dialog.js';
import { h, icon } from './dom.js';

/** @import { AudioConferencing, Meeting } from '../protocol/http.js' */

/**
 * For those to whom it is sent.
 *
 * @param {Meeting} meeting
 * @param {string} heading
 */
export function invitationDialog(meeting, heading) {
  const { joinWebUrl, joinMeetingId, passcode, audioConferencing, startDateTime, endDateTime } = meeting;
  const when = startDateTime === undefined ? '' : span(startDateTime, endDateTime);
  const text = words.text({ subject: meeting.subject === '' ? en.start.untitled : meeting.subject, when, joinWebUrl, joinMeetingId, passcode, audioConferencing });
  const shown = h('textarea', { class: 'input invitation', attrs: { readonly: true, rows: '8', 'aria-label': words.invitation } }, text);
  const copy = copyButton(shown, words);
  // Only its organisers are given the passcode, and the calendar file.
  const hasFile = startDateTime !== undefined && passcode !== undefined;
  const file = hasFile ? [h('a', { class: 'button', attrs: { href: invitationPath(meeting.id), download: 'meeting.ics' } }, words.calendar)] : [];
  openDialog({
    heading,
    body: [
      h('p', {}, hasFile ? words.scheduledText : phones.invitationText),
      shown,
      h('div', { class: 'dialog-ways' }, copy, ...file),
      ...(audioConferencing === undefined ? [] : [dialIn(audioConferencing)]),
    ],
    actions: [h('button', { class: 'button quiet', attrs: { type: 'button' } }, words.close)],
  });
  copy.focus();
}

/** @param {AudioConferencing} audioConferencing */
function dialIn({ conferenceId, phoneNumbers, organizerPin }) {
  const lines = phoneNumbers.map(({ number, name }) =>
    h(
      'li',
      { class: 'dial-in-number' },
      h('a', { attrs: { href: telHref(number, conferenceId) } }, icon('phone'), number),
      name === '' ? null : h('span', { class: 'hint' }, name),
    ),
  );
  return h(
    'section',
    { class: 'dial-in', attrs: { 'aria-labelledby': 'dial-in-heading' } },
    h('h3', { attrs: { id: 'dial-in-heading' } }, phones.orCall),
    h('ul', {}, ...lines),
    h(
      'dl',
      { class: 'dial-in-codes' },
      code(phones.conferenceId, `${conferenceId}#`, phones.conferenceHint),
      organizerPin === undefined ? null : code(phones.pin, organizerPin, phones.pinHint),
    ),
  );
}

/** @param {string} name @param {string} value @param {string} hint */
const code = (name, value, hint) =>
  h('div', { class: 'dial-in-code' }, h('dt', {}, name), h('dd', { class: 'dial-in-value' }, value), h('dd', { class: 'hint' }, hint));

/**
 * Words of scheduling, of a meeting's link, and of who was there.
 */

import { phones } from './en-phone.js';
import { plural } from './format.js';

/** @import { AudioConferencing } from '../protocol/http.js' */

export const appointments = {
  schedule: 'Schedule…',
  heading: 'Schedule a meeting',
  changeHeading: 'Change the meeting',
  subject: 'Subject',
  starts: 'Starts',
  ends: 'Ends',
  create: 'Schedule it',
  save: 'Save',
  cancel: 'Cancel',
  close: 'Close',
  noStart: 'Say when the meeting starts.',
  endsFirst: 'The meeting ends before it starts. Choose a later end.',
  scheduled: 'The meeting is scheduled',
  scheduledText: 'Send this invitation, or open the calendar file: it puts the meeting into your calendar with its link.',
  invitation: 'Invitation',
  copy: 'Copy invitation',
  copied: 'Copied',
  calendar: 'Calendar file (.ics)',
  manage: 'Manage',
  change: 'Change subject or time',
  addTime: 'Give it a time',
  newLink: 'New link and passcode',
  newLinkHeading: 'Exchange the link?',
  newLinkText: 'The present link and passcode stop working at once. Whoever is in the meeting stays in it; everybody else needs the new invitation.',
  newLinkConfirm: 'Exchange it',
  attendance: 'Attendance',
  noAttendance: 'Nobody has met in it yet.',
  download: 'Download (.csv)',
  person: 'Name',
  role: 'Role',
  time: 'In the meeting',
  stays: 'From – to',
  now: 'now',
  failed: 'The report could not be loaded. Try again.',
  roles: { organizer: 'Organiser', coorganizer: 'Co-organiser', presenter: 'Presenter', attendee: 'Attendee' },
  /** @param {string} until */
  linkUntil: (until) => `Link good until ${until}`,
  linkOver: 'Link no longer good: open the meeting to use it again',
  /** @param {number} n */
  people: (n) => plural(n, { one: '# person', other: '# people' }),
  /** @param {{ subject: string, when: string, joinWebUrl: string, joinMeetingId?: string | undefined, passcode?: string | undefined, audioConferencing?: AudioConferencing | undefined }} meeting */
  text: ({ subject, when, joinWebUrl, joinMeetingId, passcode, audioConferencing }) =>
    [
      subject,
      ...(when === '' ? [] : [when]),
      '',
      `Join by link: ${joinWebUrl}`,
      ...(joinMeetingId === undefined ? [] : [`Meeting number: ${joinMeetingId}`, `Passcode: ${passcode ?? ''}`]),
      ...(audioConferencing?.phoneNumbers ?? []).map((line) => phones.invitationLine(line, audioConferencing?.conferenceId ?? '')),
    ].join('\n'),
};

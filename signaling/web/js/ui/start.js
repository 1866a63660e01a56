/**
 * The start page: a new meeting, my meetings, and the box for those who were invited.
 */

import { chatHref, recordingHref, recordingsHref } from '../protocol/http.js';
import { chats as chatsText } from '../text/en-chats.js';
import { appointments as words } from '../text/en-appointments.js';
import { dayAndClock, span } from '../text/format.js';
import { en } from '../text/en.js';
import { accountButtons } from './account.js';
import { brand } from './brand.js';
import { confirmDialog } from './dialog.js';
import { field, h, icon, setHidden, setText } from './dom.js';
import { secretOf } from '../app/place.js';

/** @import { AttendanceReport, AttendanceSummary, Me, Meeting, MeetingPage, RecordingSummary } from '../protocol/http.js' */
/** @import { Appointment } from './appointment.js' */
/** @import { AccountContext } from './account.js' */

/**
 * @typedef {object} StartContext
 * @property {Me | null} me
 * @property {string} notice A problem to tell at once; may be empty.
 * @property {(subject: string) => Promise<string | null>} create Gives what went wrong, or leaves the page.
 * @property {(secret: string) => void} openLink
 * @property {(number: string, passcode: string) => void} openNumber
 * @property {(link?: string) => Promise<MeetingPage>} meetings
 * @property {(meetingId: string) => Promise<RecordingSummary[]>} recordings
 * @property {Appointments} appointments
 * @property {() => Promise<number>} unreadInChats
 * @property {Omit<AccountContext, 'name'>} account
 */

/**
 * @typedef {object} Appointments
 * @property {(wish: Appointment) => Promise<Meeting>} create
 * @property {(meetingId: string, wish: Appointment) => Promise<Meeting>} change
 * @property {(meetingId: string) => Promise<Meeting>} exchangeLink
 * @property {{ list: (meetingId: string) => Promise<AttendanceSummary[]>, read: (meetingId: string, report: string) => Promise<AttendanceReport> }} attendance
 * @property {(error: unknown) => string} explain
 */

/** @param {StartContext} context */
export function createStart(context) {
  document.title = en.start.title;
  const { me } = context;
  const mine = me ? meetingsSection(context) : null;
  const element = h(
    'div',
    { class: 'page' },
    head(context),
    h(
      'main',
      { class: 'start', attrs: { id: 'main' } },
      h('div', { class: 'start-hero' }, h('h1', {}, en.start.heading), h('p', { class: 'lead' }, me ? en.start.lead : en.start.guestLead)),
      context.notice === '' ? null : h('p', { class: 'callout is-problem', attrs: { role: 'alert' } }, context.notice),
      h('div', { class: 'start-cards' }, mine ? newMeetingCard(context, mine.refresh) : null, joinCard(context), me ? null : organiserCard()),
      mine?.element,
    ),
  );
  return { element, dispose: () => {} };
}

/** @param {StartContext} context */
function head({ me, unreadInChats, account }) {
  const header = brand(me ? en.start.signedInAs(me.displayName) : '');
  if (!me) return header;
  const count = h('span', { class: 'chat-row-unread', attrs: { 'aria-hidden': 'true', hidden: true } });
  const said = h('span', { class: 'visually-hidden' });
  const link = h('a', { class: 'button start-chats', attrs: { href: '/#/chats' } }, icon('chat'), h('span', {}, chatsText.heading, said), count);
  void unreadInChats().then(
    (unread) => {
      if (unread === 0) return;
      setText(count, chatsText.manyUnread(unread));
      setHidden(count, false);
      setText(said, `, ${chatsText.unread(unread)}`);
    },
    () => {},
  );
  const watching = h('a', { class: 'button start-recordings', attrs: { href: recordingsHref } }, icon('play'), h('span', {}, en.start.recordings));
  header.append(accountButtons({ name: me.displayName, ...account }), watching, link);
  return header;
}

/** @param {StartContext} context @param {() => void} refresh */
function newMeetingCard({ create, appointments }, refresh) {
  const subject = field(en.start.subject, { name: 'subject', maxlength: '120', autocomplete: 'off' });
  const button = h('button', { class: 'button primary large', attrs: { type: 'submit' } }, icon('plus'), h('span', {}, en.start.newMeeting));
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  return h(
    'form',
    {
      class: 'card',
      on: {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          button.disabled = true;
          setText(problem, '');
          const refusal = await create(subject.input.value.trim());
          if (refusal === null) return;
          button.disabled = false;
          setText(problem, refusal);
        },
      },
    },
    h('h2', {}, en.start.newMeeting),
    subject.element,
    problem,
    h('div', { class: 'card-ways' }, button, scheduleButton(appointments, refresh)),
  );
}

/** @param {Appointments} appointments @param {() => void} refresh */
const scheduleButton = ({ create, explain }, refresh) =>
  h(
    'button',
    {
      class: 'button large',
      attrs: { type: 'button' },
      on: {
        click: async () => {
          const [{ appointmentDialog }, { invitationDialog }] = await Promise.all([import('./appointment.js'), import('./invitation.js')]);
          appointmentDialog(null, create, explain, (meeting) => {
            refresh();
            invitationDialog(meeting, words.scheduled);
          });
        },
      },
    },
    words.schedule,
  );

/** @param {StartContext} context */
function joinCard({ openLink, openNumber }) {
  const where = field(en.start.linkOrNumber, { name: 'linkOrNumber', autocomplete: 'off', spellcheck: 'false', required: true });
  const passcode = field(en.start.passcode, { name: 'passcode', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'none' }, en.start.passcodeHint);
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  return h(
    'form',
    {
      class: 'card',
      attrs: { novalidate: true },
      on: {
        submit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          const typed = where.input.value.trim();
          const secret = secretOf(typed);
          const digits = typed.replace(/[\s-]/g, '');
          if (secret !== null) openLink(secret);
          else if (/^\d{6,}$/.test(digits)) openNumber(digits, passcode.input.value.trim());
          else {
            setText(problem, en.start.neither);
            where.input.focus();
          }
        },
      },
    },
    h('h2', {}, en.start.joinHeading),
    where.element,
    passcode.element,
    problem,
    h('button', { class: 'button large', attrs: { type: 'submit' } }, en.start.join),
  );
}

const organiserCard = () =>
  h(
    'section',
    { class: 'card' },
    h('h2', {}, en.start.organiserHeading),
    h('p', {}, en.start.organiserText),
    h('pre', {}, h('code', {}, en.start.organiserCommand)),
  );

/** @param {StartContext} context */
function meetingsSection(context) {
  const list = h('ul', { class: 'meetings' });
  const note = h('p', { class: 'panel-empty', attrs: { role: 'status' } });
  /** @type {Meeting[]} */
  let known = [];
  /** @type {string | undefined} */
  let next;
  const more = h('button', { class: 'button quiet', attrs: { type: 'button', hidden: true }, on: { click: () => load(next) } }, en.start.more);
  const section = h('section', { class: 'my-meetings', attrs: { 'aria-labelledby': 'my-meetings' } }, h('h2', { attrs: { id: 'my-meetings' } }, en.start.mine), note, list, more);
  /** @param {string} [link] The page after those that are known; without one, from the first on. */
  const load = (link) => {
    more.disabled = true;
    void context
      .meetings(link)
      .then(
        ({ value, '@odata.nextLink': after }) => {
          known = link === undefined ? value : [...known, ...value];
          next = after;
          list.replaceChildren(...inOrder(known, Date.now()).map((meeting) => meetingRow(meeting, context, refresh)));
          setText(note, known.length === 0 ? en.start.none : '');
          setHidden(note, known.length > 0);
          setHidden(more, after === undefined);
        },
        () => {
          setText(note, en.start.failed);
          setHidden(note, false);
        },
      )
      .finally(() => {
        more.disabled = false;
      });
  };
  const refresh = () => load();
  refresh();
  return { element: section, refresh };
}

/**
 * What goes on first, then what comes, the soonest first, then what was, the latest first.
 *
 * @param {Meeting[]} meetings
 * @param {number} now
 */
export function inOrder(meetings, now) {
  const at = (/** @type {Meeting} */ { startDateTime, createdDateTime }) => new Date(startDateTime ?? createdDateTime).getTime();
  const over = (/** @type {Meeting} */ meeting) => (meeting.endDateTime === undefined ? at(meeting) : new Date(meeting.endDateTime).getTime()) < now;
  const place = (/** @type {Meeting} */ meeting) => (meeting.isLive ? 0 : over(meeting) ? 2 : 1);
  return [...meetings].sort((a, b) => place(a) - place(b) || (place(a) === 1 ? at(a) - at(b) : at(b) - at(a)));
}

/** @param {Meeting} meeting */
function whenOf({ isLive, participants, startDateTime, endDateTime, createdDateTime }) {
  if (isLive) return en.start.present(participants);
  return startDateTime === undefined ? dayAndClock(createdDateTime) : span(startDateTime, endDateTime);
}

/** @param {Meeting} meeting */
function linkOf({ isLive, expirationDateTime }) {
  if (isLive || expirationDateTime === undefined) return '';
  return new Date(expirationDateTime).getTime() < Date.now() ? words.linkOver : words.linkUntil(dayAndClock(expirationDateTime));
}

/** What its organiser does with a meeting. @param {Meeting} meeting @param {StartContext} context @param {() => void} refresh */
function managing(meeting, { appointments }, refresh) {
  const { change, exchangeLink, attendance, explain } = appointments;
  const title = meeting.subject === '' ? en.start.untitled : meeting.subject;
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  /** @param {string} text @param {() => Promise<void>} act */
  const way = (text, act) =>
    h('button', { class: 'button quiet', attrs: { type: 'button' }, on: { click: () => void act().catch((error) => setText(problem, explain(error))) } }, text);
  return h(
    'details',
    { class: 'meeting-recordings' },
    h('summary', {}, words.manage),
    h(
      'div',
      { class: 'meeting-ways' },
      way(words.invitation, async () => (await import('./invitation.js')).invitationDialog(meeting, words.invitation)),
      way(meeting.startDateTime === undefined ? words.addTime : words.change, async () => {
        const { appointmentDialog } = await import('./appointment.js');
        appointmentDialog(meeting, (wish) => change(meeting.id, wish), explain, refresh);
      }),
      way(words.newLink, async () =>
        confirmDialog({ heading: words.newLinkHeading, text: words.newLinkText, confirm: words.newLinkConfirm }, () => {
          const exchanged = async () => {
            const { invitationDialog } = await import('./invitation.js');
            const now = await exchangeLink(meeting.id);
            refresh();
            invitationDialog(now, words.invitation);
          };
          void exchanged().catch((error) => setText(problem, explain(error)));
        }),
      ),
      way(words.attendance, async () => (await import('./attendance.js')).attendanceDialog(meeting.id, title, attendance)),
    ),
    problem,
  );
}

/** @param {Meeting} meeting @param {StartContext} context @param {() => void} refresh */
function meetingRow(meeting, context, refresh) {
  const { recordings } = context;
  const secret = secretOf(meeting.joinWebUrl) ?? '';
  const title = meeting.subject === '' ? en.start.untitled : meeting.subject;
  const list = h('ul', { class: 'recordings' });
  let loaded = false;
  const details = h(
    'details',
    {
      class: 'meeting-recordings',
      on: {
        toggle: async () => {
          if (loaded || !details.open) return;
          loaded = true;
          const found = await recordings(meeting.id).catch(() => []);
          list.replaceChildren(...(found.length === 0 ? [h('li', {}, en.start.noRecordings)] : found.map(recordingRow)));
        },
      },
    },
    h('summary', {}, en.start.recordings),
    list,
  );
  return h(
    'li',
    { class: 'meeting-row', data: { meetingId: meeting.id } },
    h(
      'div',
      { class: 'meeting-words' },
      h('h3', {}, h('a', { attrs: { href: `/join/${encodeURIComponent(secret)}` } }, title)),
      h(
        'p',
        { class: 'hint' },
        meeting.isLive ? h('span', { class: 'live-tag' }, en.start.live) : null,
        [whenOf(meeting), numberOf(meeting), linkOf(meeting)].filter(Boolean).join(' · '),
      ),
      managing(meeting, context, refresh),
      details,
    ),
    meeting.unread > 0 ? h('span', { class: 'unread-tag' }, en.start.unread(meeting.unread)) : null,
    h('a', { class: 'button quiet', attrs: { href: chatHref(meeting.chatId), 'aria-label': `${en.start.chat}: ${title}` } }, en.start.chat),
    h('a', { class: 'button', attrs: { href: `/join/${encodeURIComponent(secret)}`, 'aria-label': `${en.start.open}: ${title}` } }, en.start.open),
  );
}

/** @param {Meeting} meeting */
const numberOf = ({ joinMeetingId, passcode }) =>
  joinMeetingId === undefined || passcode === undefined ? '' : en.start.number(joinMeetingId, passcode);

/** @param {RecordingSummary} recording */
const recordingRow = (recording) =>
  h(
    'li',
    {},
    h('a', { attrs: { href: recordingHref(recording.id) } }, `${en.start.recordingOf}, ${dayAndClock(recording.createdDateTime)}`),
  );

/**
 * Who was in a meeting, from when to when: the newest run at once, older ones by choice.
 */

import { attendancePath } from '../protocol/http.js';
import { appointments as words } from '../text/en-appointments.js';
import { clock, dayAndClock, duration } from '../text/format.js';
import { openDialog } from './dialog.js';
import { h, setText } from './dom.js';

/** @import { AttendanceReport, AttendanceSummary } from '../protocol/http.js' */

/**
 * @param {string} meetingId
 * @param {string} subject
 * @param {{ list: (meetingId: string) => Promise<AttendanceSummary[]>, read: (meetingId: string, report: string) => Promise<AttendanceReport> }} source
 */
export async function attendanceDialog(meetingId, subject, { list, read }) {
  const status = h('p', { class: 'hint', attrs: { role: 'status' } });
  // On a narrow screen it is scrolled within itself, by keyboard too.
  const table = h('div', { class: 'attendance', attrs: { tabindex: '0', role: 'region', 'aria-label': words.attendance } });
  const download = h('a', { class: 'button', attrs: { download: 'attendance.csv' } }, words.download);
  const choice = h('select', { class: 'input', attrs: { 'aria-label': words.attendance } });
  openDialog({
    heading: `${words.attendance}: ${subject}`,
    body: [choice, status, table, h('div', { class: 'dialog-ways' }, download)],
    actions: [h('button', { class: 'button quiet', attrs: { type: 'button', autofocus: true } }, words.close)],
  });
  choice.hidden = true;
  download.hidden = true;
  const show = async () => {
    const report = await read(meetingId, choice.value);
    table.replaceChildren(tableOf(report));
    setText(status, words.people(report.totalParticipantCount));
    download.href = attendancePath(meetingId, report.id);
    download.hidden = false;
  };
  const attempt = () => show().catch(() => setText(status, words.failed));
  choice.addEventListener('change', attempt);
  const reports = await list(meetingId).catch(() => null);
  if (reports === null) setText(status, words.failed);
  else if (reports.length === 0) setText(status, words.noAttendance);
  else {
    choice.append(...reports.map(({ id, meetingStartDateTime }) => h('option', { attrs: { value: id } }, dayAndClock(meetingStartDateTime))));
    choice.hidden = false;
    await attempt();
  }
}

/** @param {AttendanceReport} report */
const tableOf = ({ attendanceRecords, meetingEndDateTime }) =>
  h(
    'table',
    {},
    h('thead', {}, h('tr', {}, ...[words.person, words.role, words.time, words.stays].map((name) => h('th', { attrs: { scope: 'col' } }, name)))),
    h(
      'tbody',
      {},
      ...attendanceRecords.map(({ displayName, role, totalAttendanceInSeconds, attendanceIntervals }) =>
        h(
          'tr',
          {},
          h('th', { attrs: { scope: 'row' } }, displayName),
          h('td', {}, role === undefined ? '' : words.roles[role]),
          h('td', {}, duration(totalAttendanceInSeconds * 1000)),
          h('td', {}, attendanceIntervals.map(({ joinDateTime, leaveDateTime }) => `${clock(joinDateTime)} – ${meetingEndDateTime === undefined ? words.now : clock(leaveDateTime)}`).join(', ')),
        ),
      ),
    ),
  );

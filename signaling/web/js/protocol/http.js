/**
 * The plain HTTP calls: who am I, meetings, join, recordings.
 *
 * Why: every failure becomes one `ApiError` with a stable code, so that pages choose their words by code and never
 * by status or exception text.
 */

/** @typedef {{ userId: string, displayName: string, phoneNumbers: string[] }} Me `phoneNumbers`: of one's own, that ring here. */
/** @typedef {{ number: string, name: string }} DialInNumber The name may be empty. */
/**
 * @typedef {object} AudioConferencing How to come in by phone.
 * @property {string} conferenceId
 * @property {DialInNumber[]} phoneNumbers
 * @property {string} [organizerPin] To organisers alone.
 */
/**
 * @typedef {object} Meeting
 * @property {string} id
 * @property {string} subject
 * @property {string} joinWebUrl
 * @property {string} [joinMeetingId]
 * @property {string} [passcode]
 * @property {AudioConferencing} [audioConferencing] Where the server has phone numbers.
 * @property {string} chatId
 * @property {string} createdDateTime
 * @property {string} [startDateTime]
 * @property {string} [endDateTime]
 * @property {string} [expirationDateTime] Until when its link is good, if nobody meets there meanwhile.
 * @property {boolean} isLive
 * @property {number} participants
 * @property {number} unread
 */
/** @typedef {{ subject: string, organizer: string, participants: number, isRecording: boolean }} JoinPreview */
/** @typedef {{ joinWebUrl: string } | { joinMeetingId: string, passcode: string }} JoinTarget */
/**
 * @typedef {object} Joined
 * @property {string} participantId
 * @property {string} token
 * @property {RTCIceServer[]} iceServers
 * @property {import('./messages.js').MeetingInfo} meeting
 * @property {import('./messages.js').Role} role
 */
export class ApiError extends Error {
  /** @param {number} status 0 when no answer came. @param {string} code @param {string} message @param {string} requestId */
  constructor(status, code, message, requestId) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/** How often a call that came too soon is made again, and the longest wait for it: more is for people to decide. */
const AGAIN = 3;
const LONGEST_WAIT_S = 5;

/**
 * How long the server asks us to wait before the same call again.
 * @param {Response} response
 * @returns {number | undefined} In milliseconds; none where waiting is of no use.
 */
export function waitBefore(response) {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return response.status === 429 && seconds <= LONGEST_WAIT_S ? seconds * 1000 : undefined;
}

/** @param {number} ms @param {AbortSignal} [signal] */
const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });

/** @param {Response} response */
async function refusal(response) {
  /** @type {{ error?: { code?: string, message?: string, requestId?: string } }} */
  const body = await response.json().catch(() => ({}));
  return new ApiError(
    response.status,
    body.error?.code ?? `http_${response.status}`,
    body.error?.message ?? '',
    body.error?.requestId ?? '',
  );
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, token?: string | undefined, signal?: AbortSignal }} [options]
 * @returns {Promise<unknown>}
 */
export async function call(method, path, { body, token, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  /** @type {RequestInit} */
  const init = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal) init.signal = signal;
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, init);
    for (let tries = 0, wait; tries < AGAIN && (wait = waitBefore(response)) !== undefined; tries += 1) {
      await pause(wait, signal);
      response = await fetch(path, init);
    }
  } catch (cause) {
    throw new ApiError(0, 'unreachable', String(cause), '');
  }
  if (!response.ok) throw await refusal(response);
  if (response.status === 204) return null;
  return response.json().catch(() => null);
}

const part = encodeURIComponent;

/** The organiser's link, once: its key becomes a session cookie. @param {string} key */
export const openSession = (key) => call('POST', '/v1/session', { body: { key } });

/** @returns {Promise<Me | null>} Null for a guest. */
export async function me() {
  try {
    return /** @type {Me} */ (await call('GET', '/v1/me'));
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return null;
    throw error;
  }
}

/** Makes an account for a colleague. @param {string} displayName @param {string} mail @returns {Promise<string>} The link that signs them in, once. */
export const invite = async (displayName, mail) =>
  /** @type {{ signInUrl: string }} */ (await call('POST', '/v1/invitations', { body: { displayName, mail } })).signInUrl;

/** @typedef {{ signInUrl: string, qrCode?: string }} SignInLink The picture is an SVG document. */

/** The link that signs another device of one's own in, once. @returns {Promise<SignInLink>} */
export const deviceLink = async () => /** @type {SignInLink} */ (await call('POST', '/v1/me/signInLinks'));

export const signOut = () => call('DELETE', '/v1/session');

export const signOutEverywhere = () => call('DELETE', '/v1/me/sessions');

/** @param {{ subject: string, startDateTime?: string, endDateTime?: string }} wish @returns {Promise<Meeting>} */
export const createMeeting = async (wish) => /** @type {Meeting} */ (await call('POST', '/v1/onlineMeetings', { body: wish }));

/** @param {string} meetingId @param {{ subject: string, startDateTime: string, endDateTime: string }} wish @returns {Promise<Meeting>} */
export const changeMeeting = async (meetingId, wish) =>
  /** @type {Meeting} */ (await call('PATCH', `/v1/onlineMeetings/${part(meetingId)}`, { body: wish }));

/** Link and passcode of before open nothing any more. @param {string} meetingId @returns {Promise<Meeting>} */
export const resetJoinLink = async (meetingId) => /** @type {Meeting} */ (await call('POST', `/v1/onlineMeetings/${part(meetingId)}/resetJoinLink`));

/** The calendar file of a meeting that has a time. @param {string} meetingId */
export const invitationPath = (meetingId) => `/v1/onlineMeetings/${part(meetingId)}/invitation`;

/** @typedef {{ id: string, meetingStartDateTime: string, meetingEndDateTime?: string, totalParticipantCount: number }} AttendanceSummary */
/** @typedef {{ joinDateTime: string, leaveDateTime: string, durationInSeconds: number }} AttendanceInterval */
/** @typedef {{ displayName: string, role?: import('./messages.js').Role, totalAttendanceInSeconds: number, attendanceIntervals: AttendanceInterval[] }} AttendanceRecord */
/** @typedef {AttendanceSummary & { attendanceRecords: AttendanceRecord[] }} AttendanceReport */

/** @param {string} meetingId @returns {Promise<AttendanceSummary[]>} Newest first. */
export const listAttendance = async (meetingId) =>
  /** @type {{ value: AttendanceSummary[] }} */ (await call('GET', `/v1/onlineMeetings/${part(meetingId)}/attendanceReports`)).value;

/** @param {string} meetingId @param {string} report @returns {Promise<AttendanceReport>} */
export const readAttendance = async (meetingId, report) =>
  /** @type {AttendanceReport} */ (await call('GET', `/v1/onlineMeetings/${part(meetingId)}/attendanceReports/${part(report)}`));

/** The same for a spreadsheet. @param {string} meetingId @param {string} report */
export const attendancePath = (meetingId, report) => `/v1/onlineMeetings/${part(meetingId)}/attendanceReports/${part(report)}/content`;

/** In full to its organisers by their session; with a participant's token as they may know it. @param {string} meetingId @param {string} [token] @returns {Promise<Meeting>} */
export const readMeeting = async (meetingId, token) => /** @type {Meeting} */ (await call('GET', `/v1/onlineMeetings/${part(meetingId)}`, { token }));

/** @typedef {{ value: Meeting[], '@odata.nextLink'?: string }} MeetingPage Newest first. */

/** @param {string} [link] The next page; without one, the first. @returns {Promise<MeetingPage>} */
export const listMeetings = async (link) => /** @type {MeetingPage} */ (await call('GET', link ?? '/v1/onlineMeetings'));

/**
 * @typedef {object} Settings The options of a meeting.
 * @property {{ scope: string }} lobbyBypassSettings
 * @property {boolean} canAnonymousStart
 * @property {string} allowedPresenters
 * @property {boolean} allowAttendeeToEnableMic
 * @property {boolean} allowAttendeeToEnableCamera
 * @property {string} allowMeetingChat
 * @property {boolean} allowTeamworkReactions
 * @property {boolean} recordAutomatically
 * @property {boolean} isLocked
 * @property {boolean} areAnonymousHeld
 */

/** @param {string} meetingId @returns {Promise<Settings>} */
export const readSettings = async (meetingId) => /** @type {Settings} */ (await call('GET', `/v1/onlineMeetings/${part(meetingId)}`));

/** @param {string} meetingId @param {Partial<Settings>} changed */
export const changeSettings = (meetingId, changed) => call('PATCH', `/v1/onlineMeetings/${part(meetingId)}`, { body: changed });

/** In the chats with the newest events. @returns {Promise<number>} */
export const unreadInChats = async () =>
  /** @type {{ value: { unread: number }[] }} */ (await call('GET', '/v1/me/chats')).value.reduce((sum, { unread }) => sum + unread, 0);

/** @param {string} secret @returns {Promise<JoinPreview>} */
export const lookAtMeeting = async (secret) =>
  /** @type {JoinPreview} */ (await call('GET', `/v1/join/${part(secret)}`));

/** @param {JoinTarget} target @param {string} displayName @param {string} [rejoinToken] @returns {Promise<Joined>} */
export const join = async (target, displayName, rejoinToken) =>
  /** @type {Joined} */ (
    await call('POST', '/v1/join', {
      body: { ...target, displayName, ...(rejoinToken === undefined ? {} : { rejoinToken }) },
    })
  );

/** @typedef {Pick<import('./recordings-http.js').Recording, 'id' | 'createdDateTime'>} RecordingSummary */

/** @param {string} meetingId @returns {Promise<RecordingSummary[]>} Oldest first. */
export const listRecordings = async (meetingId) =>
  /** @type {{ value: RecordingSummary[] }} */ (
    await call('GET', `/v1/onlineMeetings/${part(meetingId)}/recordings`)
  ).value;

/** Where this page shows a recording. @param {string} recordingId */
export const recordingHref = (recordingId) => `/v1/recordings/${part(recordingId)}`;

/** Where this page lists recordings. */
export const recordingsHref = '/#/recordings';

/** Where this page shows a chat, or one message in it. @param {string} chatId @param {number} [seq] */
export const chatHref = (chatId, seq) => `/#/chats/${part(chatId)}${seq === undefined ? '' : `/${seq}`}`;

/** @typedef {{ session: string | null, messages: unknown[], next: number, closed?: number }} PollAnswer `closed` is a close code. */

/** @param {unknown} body @param {string} token @param {AbortSignal} signal @returns {Promise<PollAnswer>} */
export const poll = async (body, token, signal) =>
  /** @type {PollAnswer} */ (await call('POST', '/v1/live/poll', { body, token, signal }));

/**
 * What the page has to say, as data: notices that are read and dismissed, and what is said once to those who only hear.
 */

/** @import { Announcement, MeetingState, NoticeContent } from './meeting.js' */

/** What is tried again and again. @type {ReadonlySet<NoticeContent['code']>} */
const SAID_ONCE = new Set(['busy', 'hardMuted']);
/** Older notices make room for newer ones. */
const NOTICES_MAX = 3;

/** @param {MeetingState} state @param {NoticeContent} content @returns {MeetingState} */
export function withNotice(state, content) {
  const notice = { ...content, id: state.nextId };
  const others = state.notices.filter(({ code }) => !SAID_ONCE.has(code) || code !== content.code);
  return { ...state, nextId: state.nextId + 1, notices: [...others, notice].slice(-NOTICES_MAX) };
}

/** @param {MeetingState} state @param {Announcement['content']} content @returns {MeetingState} */
export const announce = (state, content) => ({
  ...state,
  nextId: state.nextId + 1,
  announcement: { id: state.nextId, content },
});

/**
 * Those whom we may let in are announced as they come.
 *
 * @param {MeetingState} state
 * @param {import('../protocol/messages.js').WaitingMessage} message
 */
export function announceWaiting(state, { all, added }) {
  const [first] = added;
  return all || first === undefined ? state : announce(state, { code: 'waits', name: first.displayName });
}

/**
 * The quiet lines of a meeting's chat: what happened that nobody wrote. The same in the call and on the chats page.
 */

import { phones } from '../text/en-phone.js';
import { en } from '../text/en.js';

/** @import { ThreadEvent } from '../protocol/messages.js' */

/** @param {ThreadEvent} event @returns {string | null} Null for what is no such line. */
export function meetingLine(event) {
  switch (event.kind) {
    case 'meetingStarted':
      return en.chat.started;
    case 'meetingEnded':
      return en.chat.ended;
    case 'participantJoined':
      return en.chat.joined(event.displayName);
    case 'participantLeft':
      return en.chat.left(event.displayName);
    case 'recordingStarted':
      return event.part > 1 ? en.chat.recordingContinued(event.part) : en.chat.recordingStarted;
    case 'recordingPaused':
      return en.chat.recordingPaused;
    case 'recordingResumed':
      return en.chat.recordingResumed;
    case 'recordingInterrupted':
      return en.chat.recordingInterrupted[event.reason];
    case 'recordingReady':
      return en.chat.recordingReady;
    case 'recordingFailed':
      return en.chat.recordingFailed(event.reason);
    case 'phoneCall':
      return phones.lines[event.state](event.caller);
    default:
      return null;
  }
}

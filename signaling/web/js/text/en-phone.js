/**
 * The words about phones, in English: numbers to call in by, and calls out of a meeting.
 */

/** @import { PhoneCall } from '../protocol/messages.js' */

/** What is seen of a call that goes on. @type {Record<PhoneCall['status'], string>} */
const STATUS = {
  dialling: 'Dialling…',
  ringing: 'Ringing…',
  answered: 'Asked to press 1',
  joined: 'Coming in…',
  ended: 'call ended',
};

/** Why a call came to nothing, as it goes on after a name: “Grandma: busy”. @type {Record<string, string>} */
const ENDS = {
  busy: 'busy',
  declined: 'declined',
  noAnswer: 'no answer',
  unreachable: 'cannot be reached',
  notConfirmed: 'nobody pressed 1',
  cancelled: 'call cancelled',
  hungUp: 'hung up',
  left: 'hung up',
  removed: 'removed',
  notLetIn: 'not let in',
  meetingEnded: 'the meeting ended',
  alone: 'nobody else was there',
  full: 'the meeting is full',
  silent: 'no sound came any more',
  lost: 'the line was lost',
  failed: 'the call failed',
};

/** Refusals by code. @type {Record<string, string>} */
const PROBLEMS = {
  invalid_phone_number: 'That is not a number that can be called. Type it with its country code, such as +49 30 1234567.',
  emergency_number: 'Emergency numbers cannot be called from a meeting. Call them with your own phone.',
  number_not_allowed: 'This server does not call numbers of that kind. Try another number, or ask whoever runs the server.',
  forbidden: 'You may not call phones from this meeting. Ask its organiser to do it.',
  not_live: 'Nobody is in the meeting at the moment who could let others in. Come back in, then call again.',
  called_too_often: 'That number was called very often of late. Leave it in peace for a while, then call again.',
  too_many_calls: 'As many calls as are allowed go on already. Wait until one is over, then call again.',
  no_phone_line: 'The server has no phone line at the moment. Try again in a few minutes.',
  already_called: 'That number is being called or is in the meeting already. Look for it among the people.',
};

/** @param {string | null} caller */
const somebody = (caller) => caller ?? 'Somebody with a hidden number';

export const phones = {
  ringing: 'Calls for you',
  /** @param {string | null} caller */
  isCalling: (caller) => `${somebody(caller)} is calling`,
  answer: 'Answer',
  /** From within another meeting. */
  leaveAndAnswer: 'Leave and answer',
  decline: 'Decline',
  /** What became of a call to one's own number. @type {Record<'ringing' | 'answered' | 'declined' | 'message' | 'missed', (caller: string | null) => string>} */
  lines: {
    ringing: (caller) => `${somebody(caller)} called.`,
    answered: () => 'The call was answered.',
    declined: () => 'The call was declined.',
    message: (caller) => `${somebody(caller)} left a message.`,
    missed: (caller) => `Missed call from ${caller ?? 'a hidden number'}.`,
  },

  invitation: 'Invitation',
  invitationText: 'Send this to whoever should come.',
  orCall: 'Or call',
  /** One line of an invitation that is sent. @param {{ number: string, name: string }} line @param {string} conferenceId */
  invitationLine: ({ number, name }, conferenceId) => `Or call ${number}${name === '' ? '' : ` (${name})`}, conference id ${conferenceId}#`,
  conferenceId: 'Conference id',
  conferenceHint: 'Enter it when a voice asks you to.',
  pin: 'Your PIN, for you alone',
  pinHint: 'Enter it after the conference id to come in as the organiser. No invitation contains it.',

  callPhone: 'Call a phone',
  number: 'Phone number',
  numberHint: 'With its country code: +49 30 1234567',
  name: 'Name (optional)',
  nameHint: 'Without one, the others see a part of the number.',
  call: 'Call',
  numberMissing: 'Type the number that should be called.',
  /** @param {string} code @returns {string | undefined} None: it has nothing to do with phones. */
  problem: (code) => (Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code] : undefined),

  calling: 'Calling',
  hangUp: 'Hang up',
  /** @param {string} name */
  hangUpOn: (name) => `Hang up: ${name}`,
  /** @param {PhoneCall} call */
  status: ({ status, endReason }) => (status === 'ended' ? (Object.hasOwn(ENDS, endReason ?? '') && ENDS[endReason ?? '']) || STATUS.ended : STATUS[status]),
  /** @param {string} name */
  called: (name) => `${name} is being called.`,
  /** @param {string} name @param {string} how */
  ended: (name, how) => `${name}: ${how}`,
};

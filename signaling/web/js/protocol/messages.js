/**
 * The live protocol as types, constructors and one parser.
 *
 * Why: both ends read the same golden files (`../../../protocol/golden`), so a change of the contract breaks a test
 * on each side. What comes from the server is checked once, here; behind this file everything has its type.
 *
 *   bytes -> parseServerMessage -> state/        ui/ -> constructors -> connection.js
 */

import { count, flag, listOf, oneOf, optional, orNull, shape, text } from './checks.js';
import { CHAT_EVENT_KINDS } from './chat-events.js';

/** @import { ChatThreadEvent, MessageBody } from './chat-events.js' */
/** @import { Check } from './checks.js' */

/** @typedef {'microphone' | 'camera'} CaptureKind */
/** @typedef {'screen' | 'screenAudio'} ShareKind Announced only while they are shared. */
/** @typedef {CaptureKind | ShareKind} PublicationKind */
/** @typedef {'organizer' | 'coorganizer' | 'presenter' | 'attendee'} Role */
/**
 * @typedef {'microphone' | 'camera' | 'chat' | 'raiseHand' | 'react' | 'share' | 'spotlight' | 'mute' | 'remove' | 'admit' | 'lowerHands'
 *   | 'setRoles' | 'lock' | 'record' | 'changeOptions' | 'dialOut'} Right
 */
/** @typedef {'policy' | 'notStarted' | 'locked'} LobbyReason */
/** @typedef {'like' | 'heart' | 'applause' | 'laugh' | 'surprised'} Reaction */
/** @typedef {{ id: string, displayName: string, verified: boolean, reason: LobbyReason }} WaitingPerson */
/** @typedef {{ isLocked: boolean, areAnonymousHeld: boolean, allowAttendeeToEnableMic: boolean, allowAttendeeToEnableCamera: boolean }} MeetingOptions */
/** @typedef {'off' | 'starting' | 'on' | 'paused' | 'stopping'} RecordingState */
/** @typedef {'diskFull' | 'storeUnavailable'} RecordingTrouble */
/** @typedef {'notNeeded' | 'asked' | 'given'} Consent Whether we have to agree to be recorded. */
/** @typedef {'good' | 'weak' | 'poor'} NetworkGrade */
/** @typedef {'none' | 'network' | 'device'} HeldBack */
/** @typedef {'dialling' | 'ringing' | 'answered' | 'joined' | 'ended'} PhoneCallStatus Answered: they are asked to press 1. */
/** @typedef {{ id: string, name: string, status: PhoneCallStatus, endReason?: string | null | undefined }} PhoneCall A call out of this meeting. */

/**
 * @typedef {object} Participant
 * @property {string} id
 * @property {string} displayName
 * @property {'person' | 'phone' | 'recorder'} kind A phone is heard and never seen.
 * @property {Role} role
 * @property {boolean} verified They have proven who they are; otherwise the name is what they say.
 * @property {boolean} microphoneMuted
 * @property {boolean} cameraMuted
 * @property {boolean} hasMicrophone
 * @property {boolean} hasCamera
 * @property {boolean} spotlit Shown first and large to everybody.
 * @property {number | null} [hand] Where their raised hand stands among all that were raised; null: not raised.
 * @property {boolean} connected False within the grace time after its connection was lost.
 * @property {NetworkGrade | null} [network] How well arrives what they send; null: not known.
 */

/** @typedef {{ id: number, participantId: string, kind: PublicationKind }} Publication `id` is the CSRC on its packets. */
/** @typedef {{ mid: string, participantId: string | null, publicationId: number | null }} Slot */
/** @typedef {{ id: string, subject: string, joinWebUrl: string, chatId: string }} MeetingInfo */
/** @typedef {{ state: RecordingState, recordingId: string | null, trouble: RecordingTrouble | null, troubleSince?: string | undefined }} Recording */

/** @typedef {{ seq: number, id: string, time: string }} EventBase */
/** @typedef {EventBase & { kind: 'message' } & MessageBody} MessageEvent_ */
/** @typedef {EventBase & { kind: 'meetingStarted' | 'meetingEnded' }} RunEvent */
/** @typedef {EventBase & { kind: 'participantJoined' | 'participantLeft', participantId: string, displayName: string, userId?: string }} PresenceEvent */
/** @typedef {EventBase & { kind: 'recordingPaused' | 'recordingResumed', recordingId: string, by: string | null }} RecordingEvent By null: by itself. */
/** @typedef {EventBase & { kind: 'recordingStarted', recordingId: string, by: string | null, part: number }} RecordingStartedEvent */
/** @typedef {EventBase & { kind: 'recordingInterrupted', recordingId: string, reason: 'diskFull' | 'serverRestarted' }} RecordingInterruptedEvent */
/** @typedef {EventBase & { kind: 'recordingReady', recordingId: string, by: string | null, durationMs: number | null }} RecordingReadyEvent */
/** @typedef {EventBase & { kind: 'recordingFailed', recordingId: string, reason: string }} RecordingFailedEvent */
/**
 * Somebody calls the number of the meeting's organiser: whoever joins answers.
 *
 * @typedef {EventBase & { kind: 'phoneCall', callId: string, meetingId: string, caller: string | null, state: 'ringing' | 'answered' | 'declined' | 'message' | 'missed', until?: string }} PhoneCallEvent
 */
/** @typedef {PhoneCallEvent | MessageEvent_ | RunEvent | PresenceEvent | RecordingEvent | RecordingStartedEvent | RecordingInterruptedEvent | RecordingReadyEvent | RecordingFailedEvent | (EventBase & ChatThreadEvent)} ThreadEvent */

/**
 * @typedef {object} Welcome
 * @property {'welcome'} type
 * @property {string} session
 * @property {string} self
 * @property {Role} role
 * @property {Right[]} may
 * @property {MeetingInfo} meeting
 * @property {MeetingOptions} options
 * @property {number} rosterSeq
 * @property {Participant[]} roster
 * @property {Publication[]} publications
 * @property {Slot[]} slots
 * @property {Recording} recording
 * @property {PhoneCall[]} phoneCalls Those that are not joined and not over.
 * @property {ThreadEvent[]} events
 * @property {number} cursor
 * @property {string} serverTime
 */

/** @typedef {{ type: 'event', event: ThreadEvent }} EventMessage */
/** @typedef {{ type: 'lobby', state: 'waiting', reason: LobbyReason }} LobbyMessage In the place of the welcome. */
/** @typedef {{ type: 'waiting', all: boolean, added: WaitingPerson[], removed: string[] }} WaitingMessage To those who may let people in. */
/** @typedef {{ type: 'rights', role: Role, may: Right[] }} RightsMessage */
/** @typedef {{ type: 'options' } & MeetingOptions} OptionsMessage */
/** @typedef {{ type: 'reactions', reactions: { participantId: string, reaction: Reaction }[] }} ReactionsMessage */
/** @typedef {{ type: 'roster', rosterSeq: number, joined: Participant[], changed: Participant[], left: string[] }} RosterMessage */
/** @typedef {{ type: 'publications', added: Publication[], removed: number[] }} PublicationsMessage */
/** @typedef {{ type: 'slots', slots: Slot[] }} SlotsMessage */
/** @typedef {{ type: 'speaker', participantId: string | null }} SpeakerMessage */
/** @typedef {{ type: 'demand', publicationId: number, highestLayer: number }} DemandMessage */
/** @typedef {{ type: 'muted', kind: PublicationKind, by: string | null }} MutedMessage Null: the meeting's options. */
/** @typedef {{ type: 'recording' } & Recording} RecordingMessage */
/** @typedef {{ type: 'recordingConsent', state: Consent }} RecordingConsentMessage To us alone. */
/** @typedef {{ type: 'phoneCalls', calls: PhoneCall[] }} PhoneCallsMessage All of them; one that came to nothing once more, with its end. */
/** @typedef {{ type: 'media', state: 'connected' | 'lost' }} MediaMessage */
/** @typedef {'nothing' | 'queue' | 'loss' | 'silence' | 'client' | 'operator'} HealthLimit */
/** @typedef {{ target: number, arriving: number | null, lossPermille: number | null, roundTrip: number | null, queue: number, limit: HealthLimit }} Downlink Bits a second, milliseconds. */
/** @typedef {{ mid: string, publicationId: number, layer: number | null, wanted: number, bitrate: number | null, reason: 'wanted' | 'network' | 'source' }} SlotHealth */
/** @typedef {{ publicationId: number, kind: PublicationKind, bitrates: (number | null)[], packets: number, lossPermille: number | null, missingPermille: number | null, jitter: number, mixed: { concealedPermille: number, stretchedPermille: number } | null }} UplinkHealth */
/** @typedef {{ type: 'health', down: Downlink | null, slots: SlotHealth[], up: UplinkHealth[], mix: { late: number, skipped: number, encodesSaved: number } | null }} HealthMessage */
/** @typedef {{ type: 'answer', id: number, sdp: string, slots: { mid: string, kind: 'audio' | 'video' }[], publications: Publication[] }} AnswerMessage */
/** @typedef {{ type: 'ack', id: number, seq?: number }} AckMessage */
/** @typedef {{ type: 'error', id?: number, code: string, message: string }} ErrorMessage */
/** @typedef {{ type: 'removed', reason: 'removed' | 'meetingEnded' | 'replaced' | 'denied' | 'lobbyTimeout' }} RemovedMessage */
/** @typedef {{ type: 'resync' } | { type: 'ping' } | { type: 'pong' }} BareMessage */
/**
 * @typedef {Welcome | LobbyMessage | WaitingMessage | RightsMessage | OptionsMessage | ReactionsMessage | EventMessage | RosterMessage | PublicationsMessage | SlotsMessage | SpeakerMessage | DemandMessage | MutedMessage
 *   | RecordingMessage | RecordingConsentMessage | PhoneCallsMessage | MediaMessage | HealthMessage | AnswerMessage | AckMessage | ErrorMessage | RemovedMessage | BareMessage} ServerMessage
 */

/** @typedef {{ participantId: string, kind: 'camera' | 'screen', priority: number, width: number, height: number }} Want */
/** @typedef {{ wants: Want[], fill: boolean, maxTiles?: number, maxBitrate?: number, mix?: boolean }} LayoutWish `mix`: all voices as one. */
/** @typedef {{ type: 'hello', token: string, cursor: number }} Hello */
/** @typedef {{ mid: string, kind: PublicationKind }} SendLine What a line of the offer carries. */
/** @typedef {{ type: 'offer', id: number, sdp: string, lines: SendLine[] }} Offer */
/** @typedef {{ type: 'mute', id: number, kind: PublicationKind, muted: boolean }} Mute */
/** @typedef {{ type: 'muteParticipant' | 'removeParticipant' | 'admit' | 'deny', id: number, participantId: string }} Moderate */
/** @typedef {{ type: 'muteAll' | 'admitAll', id: number }} ModerateAll */
/** @typedef {{ type: 'setRole', id: number, participantId: string, role: Role }} SetRole */
/** @typedef {{ type: 'lock', id: number, locked: boolean }} Lock */
/** @typedef {{ type: 'hand', id: number, raised: boolean, participantId?: string }} Hand */
/** @typedef {{ type: 'react', id: number, reaction: Reaction }} React */
/** @typedef {{ type: 'spotlight', id: number, participantId: string | null }} Spotlight */
/** @typedef {{ type: 'chat', id: number, clientMessageId: string, text: string }} Chat */
/** @typedef {{ type: 'layout' } & LayoutWish} Layout */
/** @typedef {{ type: 'uplink', heldBack: HeldBack }} Uplink */
/** @typedef {'start' | 'pause' | 'resume' | 'stop'} RecordAction */
/** @typedef {{ type: 'record', id: number, action: RecordAction }} Record_ */
/** @typedef {{ type: 'recordingConsent', id: number, given: boolean }} GiveConsent */
/** @typedef {{ type: 'leave', id: number }} Leave */
/** @typedef {{ type: 'ping' } | { type: 'pong' }} Beat */
/** @typedef {Offer | Mute | Moderate | ModerateAll | SetRole | Lock | Hand | React | Spotlight | Chat | Record_ | GiveConsent | Leave} ClientRequest Messages that get an answer with their id. */
/** @typedef {Hello | Layout | Uplink | Beat | ClientRequest} ClientMessage */

export const SUBPROTOCOL = 'plenum.v1';
/** Characters of a chat message that the server takes. */
export const CHAT_TEXT_MAX = 4000;

/** @param {string} token @param {number} cursor @returns {Hello} */
export const hello = (token, cursor) => ({ type: 'hello', token, cursor });
/** @param {number} id @param {string} sdp @param {SendLine[]} lines @returns {Offer} */
export const offer = (id, sdp, lines) => ({ type: 'offer', id, sdp, lines });
/** @param {number} id @param {PublicationKind} kind @param {boolean} muted @returns {Mute} */
export const mute = (id, kind, muted) => ({ type: 'mute', id, kind, muted });
/** @param {number} id @param {string} participantId @returns {Moderate} */
export const muteParticipant = (id, participantId) => ({ type: 'muteParticipant', id, participantId });
/** @param {number} id @param {string} participantId @returns {Moderate} */
export const removeParticipant = (id, participantId) => ({ type: 'removeParticipant', id, participantId });
/** @param {number} id @returns {ModerateAll} */
export const muteAll = (id) => ({ type: 'muteAll', id });
/** @param {number} id @param {string} participantId @param {Role} role @returns {SetRole} */
export const setRole = (id, participantId, role) => ({ type: 'setRole', id, participantId, role });
/** @param {number} id @param {string} participantId @returns {Moderate} */
export const admit = (id, participantId) => ({ type: 'admit', id, participantId });
/** @param {number} id @returns {ModerateAll} */
export const admitAll = (id) => ({ type: 'admitAll', id });
/** @param {number} id @param {string} participantId @returns {Moderate} */
export const deny = (id, participantId) => ({ type: 'deny', id, participantId });
/** @param {number} id @param {boolean} locked @returns {Lock} */
export const lock = (id, locked) => ({ type: 'lock', id, locked });
/** @param {number} id @param {boolean} raised @param {string} [participantId] Whose, to lower it; missing: the own. @returns {Hand} */
export const hand = (id, raised, participantId) => ({ type: 'hand', id, raised, ...(participantId === undefined ? {} : { participantId }) });
/** @param {number} id @param {Reaction} reaction @returns {React} */
export const react = (id, reaction) => ({ type: 'react', id, reaction });
/** @param {number} id @param {string | null} participantId @returns {Spotlight} */
export const spotlight = (id, participantId) => ({ type: 'spotlight', id, participantId });
/** @param {number} id @param {string} clientMessageId @param {string} text @returns {Chat} */
export const chat = (id, clientMessageId, text) => ({ type: 'chat', id, clientMessageId, text });
/** @param {LayoutWish} wish @returns {Layout} */
export const layout = (wish) => ({ type: 'layout', ...wish });
/** @param {HeldBack} heldBack @returns {Uplink} */
export const uplink = (heldBack) => ({ type: 'uplink', heldBack });
/** @param {number} id @param {RecordAction} action @returns {Record_} */
export const record = (id, action) => ({ type: 'record', id, action });
/** @param {number} id @param {boolean} given Whether we agree to be recorded. @returns {GiveConsent} */
export const recordingConsent = (id, given) => ({ type: 'recordingConsent', id, given });
/** @param {number} id @returns {Leave} */
export const leave = (id) => ({ type: 'leave', id });
/** @returns {Beat} */
export const ping = () => ({ type: 'ping' });
/** @returns {Beat} */
export const pong = () => ({ type: 'pong' });

const role = oneOf('organizer', 'coorganizer', 'presenter', 'attendee');
const lobbyReason = oneOf('policy', 'notStarted', 'locked');
const options = { isLocked: flag, areAnonymousHeld: flag, allowAttendeeToEnableMic: flag, allowAttendeeToEnableCamera: flag };
const participant = shape({
  id: text,
  displayName: text,
  kind: text,
  role,
  verified: flag,
  microphoneMuted: flag,
  cameraMuted: flag,
  hasMicrophone: flag,
  hasCamera: flag,
  spotlit: flag,
  hand: optional(count),
  connected: flag,
  network: optional(oneOf('good', 'weak', 'poor')),
});
const publicationKind = oneOf('microphone', 'camera', 'screen', 'screenAudio');
const publication = shape({ id: count, participantId: text, kind: text });
const slot = shape({ mid: text, participantId: orNull(text), publicationId: orNull(count) });
const recording = {
  state: oneOf('off', 'starting', 'on', 'paused', 'stopping'),
  recordingId: orNull(text),
  trouble: orNull(oneOf('diskFull', 'storeUnavailable')),
  troubleSince: optional(text),
};
const phoneCalls = listOf(shape({ id: text, name: text, status: oneOf('dialling', 'ringing', 'answered', 'joined', 'ended'), endReason: optional(text) }));
const meeting = shape({ id: text, subject: text, joinWebUrl: text, chatId: text });

/** @type {Record<string, Check>} Kinds missing here come from a newer server: kept for their `seq`, never drawn. */
const EVENT_KINDS = {
  ...CHAT_EVENT_KINDS,
  participantJoined: shape({ participantId: text, displayName: text, userId: optional(text) }),
  participantLeft: shape({ participantId: text, displayName: text }),
  recordingStarted: shape({ recordingId: text, by: orNull(text), part: count }),
  recordingPaused: shape({ recordingId: text, by: orNull(text) }),
  recordingResumed: shape({ recordingId: text, by: orNull(text) }),
  recordingInterrupted: shape({ recordingId: text, reason: oneOf('diskFull', 'serverRestarted') }),
  recordingReady: shape({ recordingId: text, by: orNull(text), durationMs: orNull(count) }),
  recordingFailed: shape({ recordingId: text, reason: text }),
  phoneCall: shape({
    callId: text,
    meetingId: text,
    caller: orNull(text),
    state: oneOf('ringing', 'answered', 'declined', 'message', 'missed'),
    until: optional(text),
  }),
};
const eventBase = shape({ seq: count, id: text, time: text, kind: text });
/** @type {Check} */
export const event = (value) => {
  if (!eventBase(value)) return false;
  const check = EVENT_KINDS[/** @type {ThreadEvent} */ (value).kind];
  return check === undefined || check(value);
};

/** @type {Record<string, Check>} */
const SHAPES = {
  welcome: shape({
    session: text,
    self: text,
    role,
    may: listOf(text),
    meeting,
    options: shape(options),
    rosterSeq: count,
    roster: listOf(participant),
    publications: listOf(publication),
    slots: listOf(slot),
    recording: shape(recording),
    phoneCalls,
    events: listOf(event),
    cursor: count,
    serverTime: text,
  }),
  event: shape({ event }),
  lobby: shape({ state: text, reason: lobbyReason }),
  waiting: shape({ all: flag, added: listOf(shape({ id: text, displayName: text, verified: flag, reason: lobbyReason })), removed: listOf(text) }),
  rights: shape({ role, may: listOf(text) }),
  options: shape(options),
  reactions: shape({ reactions: listOf(shape({ participantId: text, reaction: oneOf('like', 'heart', 'applause', 'laugh', 'surprised') })) }),
  roster: shape({ rosterSeq: count, joined: listOf(participant), changed: listOf(participant), left: listOf(text) }),
  publications: shape({ added: listOf(publication), removed: listOf(count) }),
  slots: shape({ slots: listOf(slot) }),
  speaker: shape({ participantId: orNull(text) }),
  demand: shape({ publicationId: count, highestLayer: count }),
  muted: shape({ kind: publicationKind, by: orNull(text) }),
  recording: shape(recording),
  recordingConsent: shape({ state: oneOf('notNeeded', 'asked', 'given') }),
  phoneCalls: shape({ calls: phoneCalls }),
  media: shape({ state: oneOf('connected', 'lost') }),
  health: shape({
    down: orNull(
      shape({
        target: count,
        arriving: orNull(count),
        lossPermille: orNull(count),
        roundTrip: orNull(count),
        queue: count,
        limit: oneOf('nothing', 'queue', 'loss', 'silence', 'client', 'operator'),
      }),
    ),
    slots: listOf(
      shape({
        mid: text,
        publicationId: count,
        layer: orNull(count),
        wanted: count,
        bitrate: orNull(count),
        reason: oneOf('wanted', 'network', 'source'),
      }),
    ),
    up: listOf(
      shape({
        publicationId: count,
        kind: publicationKind,
        bitrates: listOf(orNull(count)),
        packets: count,
        lossPermille: orNull(count),
        missingPermille: orNull(count),
        jitter: count,
        mixed: orNull(shape({ concealedPermille: count, stretchedPermille: count })),
      }),
    ),
    mix: orNull(shape({ late: count, skipped: count, encodesSaved: count })),
  }),
  answer: shape({
    id: count,
    sdp: text,
    slots: listOf(shape({ mid: text, kind: oneOf('audio', 'video') })),
    publications: listOf(publication),
  }),
  ack: shape({ id: count, seq: optional(count) }),
  error: shape({ id: optional(count), code: text, message: text }),
  removed: shape({ reason: text }),
  resync: shape({}),
  ping: shape({}),
  pong: shape({}),
};

/**
 * Checks one message of the server. Unknown types and malformed bodies give null: a newer server must not break an
 * older page, and nothing behind this line meets a missing field.
 *
 * @param {unknown} value A parsed JSON value.
 * @returns {ServerMessage | null}
 */
export function parseServerMessage(value) {
  if (typeof value !== 'object' || value === null) return null;
  const type = /** @type {{ type?: unknown }} */ (value).type;
  if (typeof type !== 'string' || !Object.hasOwn(SHAPES, type)) return null;
  return SHAPES[type]?.(value) ? /** @type {ServerMessage} */ (value) : null;
}

/** @param {unknown} frame @returns {ServerMessage | null} */
export function parseServerFrame(frame) {
  if (typeof frame !== 'string') return null;
  try {
    return parseServerMessage(JSON.parse(frame));
  } catch {
    return null;
  }
}

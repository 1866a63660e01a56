/**
 * The meeting as this page sees it: one pure reducer from server messages and own acts to the state that is drawn.
 *
 * Why: whoever wants to know how the page reacts to a message reads one function; it runs in tests without a browser.
 *
 *   connection.js -> {type: 'server'} -> reduce -> ui/*        media/*, ui/* -> other actions -> reduce
 */

import { WITH_PICTURES, chooseAudioOnly, stepAudioOnly } from './audio-only.js';
import { NO_HEALTH, lookOf, reduceHealth } from './health.js';
import { announce, announceWaiting, withNotice } from './notices.js';
import { NO_ORDER, forgetSigns, reduceOrder } from './order.js';
import { forgetCall, mergeCalls, reducePhoneCalls } from './phone-calls.js';
import { keepOrder, reduceRoster } from './roster.js';
import { togglePin } from './scene.js';
import { EMPTY_THREAD, addEvents, markRead, queue, resume, settle } from './thread.js';

/** @import { CaptureKind, Consent, MeetingInfo, Participant, PhoneCall, Publication, PublicationKind, Recording, Role, ServerMessage, Slot } from '../protocol/messages.js' */
/** @import { View } from './scene.js' */
/** @import { Link } from '../protocol/connection.js' */
/** @import { Thread } from './thread.js' */
/** @import { HealthState } from './health.js' */
/** @import { AudioOnly } from './audio-only.js' */
/** @import { Order } from './order.js' */
/** @import { Measured } from '../media/measure.js' */

/** @typedef {'left' | 'removed' | 'meetingEnded' | 'replaced' | 'denied' | 'lobbyTimeout' | 'refused'} Ending */
/** @typedef {'chat' | 'people' | 'health'} Panel */
/** @typedef {'none' | 'asking' | 'live'} Capture What the browser gives for one kind of device. */
/** @typedef {'denied' | 'missing' | 'busy' | 'insecure' | 'failed'} DeviceProblem */
/**
 * @typedef {{ code: 'mutedBy' | 'hardMuted' | 'shareTaken' | 'shareEnded', name: string }
 *   | { code: 'shareFailed' }
 *   | { code: 'device', kinds: readonly CaptureKind[], problem: DeviceProblem }
 *   | { code: 'refused', message: string }
 *   | { code: 'busy' }
 *   | { code: 'linkCopied' }
 *   | { code: 'recordingFailed', reason: string }} NoticeContent
 */
/** @typedef {NoticeContent & { id: number }} Notice */
/**
 * @typedef {object} Announcement Said once to those who do not see the page.
 * @property {number} id
 * @property {{ code: 'joined' | 'left' | 'shares' | 'sharesNoMore' | 'spotlit' | 'raised' | 'waits', name: string } | { code: 'message', name: string, text: string }
 *   | { code: 'phoneCalled' | 'phoneEnded', call: PhoneCall }} content
 */
/**
 * @typedef {object} MeetingState
 * @property {Ending | null} ending
 * @property {Link} link
 * @property {'connecting' | 'connected' | 'interrupted'} media The path of sound and picture.
 * @property {boolean} everOpen Whether the first `welcome` has come.
 * @property {string | null} self
 * @property {Role} role
 * @property {Order} order Rights, options, lobby, signs.
 * @property {MeetingInfo | null} meeting
 * @property {ReadonlyMap<string, Participant>} participants In the order in which they came.
 * @property {ReadonlyMap<number, Publication>} publications
 * @property {ReadonlyMap<string, 'audio' | 'video'>} slotKinds By mid, as offered.
 * @property {ReadonlyMap<string, Slot>} slots By mid, as the server last said.
 * @property {ReadonlyMap<string, number>} shown By mid: the publication whose picture is on the screen (its CSRC).
 * @property {string | null} speaker
 * @property {string | null} lastSpeaker Who spoke last of the others.
 * @property {View} view
 * @property {number} page Of the grid or strip, from 0; there may be fewer by now.
 * @property {readonly string[]} pinned Participants, for this page alone.
 * @property {boolean} lowBandwidth
 * @property {Recording} recording
 * @property {Consent} consent Whether we have to agree to be recorded.
 * @property {readonly PhoneCall[]} phoneCalls Calls to phones that are not in yet, and those that have just come to nothing.
 * @property {Thread} thread
 * @property {Record<PublicationKind, Capture>} capture
 * @property {Record<PublicationKind, boolean>} wanted Whether the person wants to be heard, seen, to share.
 * @property {HealthState} health
 * @property {AudioOnly} audioOnly
 * @property {Panel | null} panel
 * @property {boolean} soundBlocked The browser wants a click before it plays.
 * @property {readonly Notice[]} notices
 * @property {Announcement | null} announcement
 * @property {number} nextId
 */
/**
 * @typedef {{ type: 'server', message: ServerMessage }
 *   | { type: 'link', link: Link }
 *   | { type: 'ended', ending: Ending }
 *   | { type: 'offered', slots: { mid: string, kind: 'audio' | 'video' }[] }
 *   | { type: 'grown', slots: { mid: string, kind: 'audio' | 'video' }[] }
 *   | { type: 'view', view: View }
 *   | { type: 'page', page: number }
 *   | { type: 'pin', participantId: string }
 *   | { type: 'lowBandwidth', on: boolean }
 *   | { type: 'mediaState', media: MeetingState['media'] }
 *   | { type: 'shown', mid: string, publicationId: number | null }
 *   | { type: 'muteAcknowledged', kind: PublicationKind, muted: boolean }
 *   | { type: 'wanted', kind: PublicationKind, wanted: boolean }
 *   | { type: 'capture', kind: PublicationKind, capture: Capture }
 *   | { type: 'measured', own: Measured | null }
 *   | { type: 'audioOnly', choice: AudioOnly['choice'] }
 *   | { type: 'soundBlocked', blocked: boolean }
 *   | { type: 'signsSeen', upto: number }
 *   | { type: 'phoneEndSeen', id: string }
 *   | { type: 'panel', panel: Panel | null }
 *   | { type: 'chatQueued', clientMessageId: string, text: string }
 *   | { type: 'chatSettled', clientMessageId: string, state: 'sent' | 'failed' }
 *   | { type: 'notice', notice: NoticeContent }
 *   | { type: 'dismissed', id: number }} Action
 */

/** @type {MeetingState} */
export const INITIAL = {
  ending: null,
  link: { phase: 'connecting', attempt: 0, transport: 'socket' },
  media: 'connecting',
  everOpen: false,
  self: null,
  role: 'attendee',
  order: NO_ORDER,
  meeting: null,
  participants: new Map(),
  publications: new Map(),
  slotKinds: new Map(),
  slots: new Map(),
  shown: new Map(),
  speaker: null,
  lastSpeaker: null,
  view: 'grid',
  page: 0,
  pinned: [],
  lowBandwidth: false,
  recording: { state: 'off', recordingId: null, trouble: null },
  consent: 'notNeeded',
  phoneCalls: [],
  thread: EMPTY_THREAD,
  capture: { microphone: 'none', camera: 'none', screen: 'none', screenAudio: 'none' },
  wanted: { microphone: true, camera: true, screen: false, screenAudio: false },
  health: NO_HEALTH,
  audioOnly: WITH_PICTURES,
  panel: null,
  soundBlocked: false,
  notices: [],
  announcement: null,
  nextId: 1,
};

/**
 * @template K, V
 * @param {Iterable<V>} values
 * @param {(value: V) => K} key
 * @returns {Map<K, V>}
 */
const byKey = (values, key) => new Map(Array.from(values, (value) => [key(value), value]));

/** @param {MeetingState} state @param {Action} action @returns {MeetingState} */
export function reduce(state, action) {
  switch (action.type) {
    case 'server':
      return reduceServer({ ...state, order: reduceOrder(state.order, action.message) }, action.message);
    case 'link':
      return { ...state, link: action.link };
    case 'ended':
      return state.ending === null ? { ...state, ending: action.ending } : state;
    case 'offered':
      // A new transport: nothing of the old one is on any screen any more.
      return {
        ...state,
        slotKinds: new Map(action.slots.map(({ mid, kind }) => [mid, kind])),
        slots: new Map(),
        shown: new Map(),
        health: NO_HEALTH,
      };
    case 'grown': {
      // The same transport: what is in its other slots stays.
      const slotKinds = new Map(state.slotKinds);
      for (const { mid, kind } of action.slots) slotKinds.set(mid, kind);
      return { ...state, slotKinds };
    }
    case 'view':
      return { ...state, view: action.view, page: 0 };
    case 'page':
      return { ...state, page: Math.max(0, action.page) };
    case 'pin':
      return { ...state, pinned: togglePin(state.pinned, action.participantId) };
    case 'lowBandwidth':
      return { ...state, lowBandwidth: action.on, page: 0 };
    case 'measured':
      return { ...state, health: reduceHealth(state.health, { own: action.own }) };
    case 'audioOnly':
      return { ...state, audioOnly: chooseAudioOnly(state.audioOnly, action.choice) };
    case 'mediaState':
      return { ...state, media: action.media };
    case 'shown':
      return setShown(state, action.mid, action.publicationId);
    case 'muteAcknowledged':
      return state.self === null ? state : patchParticipant(state, state.self, muteField(action.kind, action.muted));
    case 'wanted':
      return { ...state, wanted: { ...state.wanted, [action.kind]: action.wanted } };
    case 'capture':
      return { ...state, capture: { ...state.capture, [action.kind]: action.capture } };
    case 'soundBlocked':
      return { ...state, soundBlocked: action.blocked };
    case 'signsSeen':
      return { ...state, order: forgetSigns(state.order, action.upto) };
    case 'phoneEndSeen':
      return { ...state, phoneCalls: forgetCall(state.phoneCalls, action.id) };
    case 'panel':
      return readIfOpen({ ...state, panel: action.panel });
    case 'chatQueued':
      return { ...state, thread: queue(state.thread, action.clientMessageId, action.text) };
    case 'chatSettled':
      return { ...state, thread: settle(state.thread, action.clientMessageId, action.state) };
    case 'notice':
      return withNotice(state, action.notice);
    case 'dismissed':
      return { ...state, notices: state.notices.filter(({ id }) => id !== action.id) };
  }
}

/** @param {MeetingState} state @param {ServerMessage} message @returns {MeetingState} */
function reduceServer(state, message) {
  switch (message.type) {
    case 'welcome':
      return withoutBarred(readIfOpen({
        ...state,
        everOpen: true,
        self: message.self,
        role: message.role,
        meeting: message.meeting,
        participants: keepOrder(state.participants, message.roster),
        publications: byKey(message.publications, ({ id }) => id),
        slots: byKey(message.slots, ({ mid }) => mid),
        recording: message.recording,
        // Said right after it, where it is needed.
        consent: 'notNeeded',
        phoneCalls: mergeCalls(state.phoneCalls, message.phoneCalls),
        thread: resume(state.thread, message.events, message.cursor),
      }));
    case 'event':
      return reduceEvent(state, message.event);
    case 'roster':
      return reduceRoster(state, message);
    case 'publications':
      return reducePublications(state, message);
    case 'slots':
      return reduceSlots(state, message.slots);
    case 'speaker':
      return withSpeaker(state, message.participantId);
    case 'muted':
      return mutedByOthers(state, message);
    case 'rights':
      return withoutBarred({ ...state, role: message.role });
    case 'waiting':
      return announceWaiting(state, message);
    case 'recording':
      return { ...state, recording: { state: message.state, recordingId: message.recordingId, trouble: message.trouble, troubleSince: message.troubleSince } };
    case 'phoneCalls':
      return reducePhoneCalls(state, message.calls);
    case 'recordingConsent':
      return { ...state, consent: message.state };
    case 'answer': {
      const publications = new Map(state.publications);
      for (const publication of message.publications) publications.set(publication.id, publication);
      return { ...state, publications };
    }
    case 'health': {
      const next = { ...state, health: reduceHealth(state.health, { told: message }) };
      return { ...next, audioOnly: stepAudioOnly(state.audioOnly, lookOf(next)) };
    }
    case 'lobby':
    case 'options':
    case 'reactions':
    case 'demand':
    case 'media':
    case 'ack':
    case 'error':
    case 'removed':
    case 'resync':
    case 'ping':
    case 'pong':
      return state;
  }
}

/** @param {MeetingState} state @param {import('../protocol/messages.js').MutedMessage} message @returns {MeetingState} */
function mutedByOthers(state, { kind, by }) {
  const name = state.participants.get(by ?? '')?.displayName ?? '';
  // Whoever has to agree first is asked for that, and told no more.
  const isAsked = by === null && state.consent === 'asked';
  if (kind === 'screen') {
    const code = state.order.may.includes('share') ? 'shareTaken' : 'shareEnded';
    const ended = { ...state, wanted: { ...state.wanted, screen: false, screenAudio: false } };
    return isAsked ? ended : withNotice(ended, { code, name });
  }
  const muted = state.self === null ? state : patchParticipant(state, state.self, muteField(kind, true));
  const code = kind !== 'screenAudio' && state.order.may.includes(kind) ? 'mutedBy' : 'hardMuted';
  const silenced = { ...muted, wanted: { ...muted.wanted, [kind]: false } };
  return isAsked ? silenced : withNotice(silenced, { code, name });
}

/** Whoever may not speak does not begin to by themselves when they may again. @param {MeetingState} state @returns {MeetingState} */
function withoutBarred(state) {
  const { may } = state.order;
  const { microphone, camera } = state.wanted;
  return { ...state, wanted: { ...state.wanted, microphone: microphone && may.includes('microphone'), camera: camera && may.includes('camera') } };
}

/** @param {MeetingState} state @param {import('../protocol/messages.js').ThreadEvent} event @returns {MeetingState} */
function reduceEvent(state, event) {
  const thread = addEvents(state.thread, [event]);
  if (thread.cursor === state.thread.cursor) return thread === state.thread ? state : { ...state, thread };
  let next = { ...state, thread };
  if (event.kind === 'message' && event.from.participantId !== state.self && state.panel !== 'chat') {
    next = announce(next, { code: 'message', name: event.from.displayName, text: event.text });
  } else if (event.kind === 'recordingFailed') {
    next = withNotice(next, { code: 'recordingFailed', reason: event.reason });
  }
  return readIfOpen(next);
}

/** @param {MeetingState} state @param {import('../protocol/messages.js').PublicationsMessage} message @returns {MeetingState} */
function reducePublications(state, { added, removed }) {
  const publications = new Map(state.publications);
  let next = state;
  for (const id of removed) {
    const gone = publications.get(id);
    publications.delete(id);
    if (gone) next = announceShare(next, gone, 'sharesNoMore');
  }
  for (const publication of added) {
    if (!publications.has(publication.id)) next = announceShare(next, publication, 'shares');
    publications.set(publication.id, publication);
  }
  return { ...next, publications };
}

/** @param {MeetingState} state @param {Publication} publication @param {'shares' | 'sharesNoMore'} code */
function announceShare(state, { kind, participantId }, code) {
  const person = state.participants.get(participantId);
  return kind === 'screen' && person && participantId !== state.self ? announce(state, { code, name: person.displayName }) : state;
}

/** @param {MeetingState} state @param {readonly Slot[]} changed @returns {MeetingState} */
function reduceSlots(state, changed) {
  const slots = new Map(state.slots);
  const shown = new Map(state.shown);
  for (const slot of changed) {
    slots.set(slot.mid, slot);
    if (slot.participantId === null) shown.delete(slot.mid);
  }
  return { ...state, slots, shown };
}

/** @param {MeetingState} state @param {string} mid @param {number | null} publicationId @returns {MeetingState} */
function setShown(state, mid, publicationId) {
  if ((state.shown.get(mid) ?? null) === publicationId) return state;
  const shown = new Map(state.shown);
  if (publicationId === null) shown.delete(mid);
  else shown.set(mid, publicationId);
  return { ...state, shown };
}

/** @param {MeetingState} state @param {string | null} speaker @returns {MeetingState} */
const withSpeaker = (state, speaker) => ({
  ...state,
  speaker,
  lastSpeaker: speaker === null || speaker === state.self ? state.lastSpeaker : speaker,
});

/** @param {PublicationKind} kind @param {boolean} muted @returns {Partial<Participant>} */
function muteField(kind, muted) {
  if (kind === 'microphone') return { microphoneMuted: muted };
  // Whether a screen is shared is told by its publication.
  return kind === 'camera' ? { cameraMuted: muted } : {};
}

/** @param {MeetingState} state @param {string} id @param {Partial<Participant>} patch @returns {MeetingState} */
function patchParticipant(state, id, patch) {
  const participant = state.participants.get(id);
  if (!participant) return state;
  return { ...state, participants: new Map(state.participants).set(id, { ...participant, ...patch }) };
}

/** @param {MeetingState} state @returns {MeetingState} */
const readIfOpen = (state) => (state.panel === 'chat' ? { ...state, thread: markRead(state.thread) } : state);

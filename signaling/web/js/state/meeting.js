/**
 * The meeting as this page sees it: one pure reducer from server messages and own acts to the state that is drawn.
 *
 * Why: whoever wants to know how the page reacts to a message reads one function; it runs in tests without a browser.
 *
 *   connection.js -> {type: 'server'} -> reduce -> ui/*        media/*, ui/* -> other actions -> reduce
 */

import { WITH_PICTURES, chooseAudioOnly, stepAudioOnly } from './audio-only.js';
import { NO_HEALTH, lookOf, reduceHealth } from './health.js';
import { togglePin } from './scene.js';
import { EMPTY_THREAD, addEvents, markRead, queue, resume, settle } from './thread.js';

/** @import { CaptureKind, MeetingInfo, Participant, Publication, PublicationKind, Recording, Role, ServerMessage, Slot } from '../protocol/messages.js' */
/** @import { View } from './scene.js' */
/** @import { Link } from '../protocol/connection.js' */
/** @import { Thread } from './thread.js' */
/** @import { HealthState } from './health.js' */
/** @import { AudioOnly } from './audio-only.js' */
/** @import { Measured } from '../media/measure.js' */

/** @typedef {'left' | 'removed' | 'meetingEnded' | 'replaced' | 'refused'} Ending */
/** @typedef {'chat' | 'people' | 'health'} Panel */
/** @typedef {'none' | 'asking' | 'live'} Capture What the browser gives for one kind of device. */
/** @typedef {'denied' | 'missing' | 'busy' | 'insecure' | 'failed'} DeviceProblem */
/**
 * @typedef {{ code: 'mutedBy' | 'shareTaken', name: string }
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
 * @property {{ code: 'joined' | 'left' | 'shares' | 'sharesNoMore' | 'spotlit', name: string } | { code: 'message', name: string, text: string }} content
 */
/**
 * @typedef {object} MeetingState
 * @property {Ending | null} ending
 * @property {Link} link
 * @property {'connecting' | 'connected' | 'interrupted'} media The path of sound and picture.
 * @property {boolean} everOpen Whether the first `welcome` has come.
 * @property {string | null} self
 * @property {Role} role
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
 * @property {boolean} dataSaver
 * @property {Recording} recording
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
 *   | { type: 'dataSaver', on: boolean }
 *   | { type: 'mediaState', media: MeetingState['media'] }
 *   | { type: 'shown', mid: string, publicationId: number | null }
 *   | { type: 'muteAcknowledged', kind: PublicationKind, muted: boolean }
 *   | { type: 'wanted', kind: PublicationKind, wanted: boolean }
 *   | { type: 'capture', kind: PublicationKind, capture: Capture }
 *   | { type: 'measured', own: Measured | null }
 *   | { type: 'audioOnly', choice: AudioOnly['choice'] }
 *   | { type: 'soundBlocked', blocked: boolean }
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
  role: 'presenter',
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
  dataSaver: false,
  recording: { state: 'off', recordingId: null },
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

/** Older notices make room for newer ones. */
const NOTICES_MAX = 3;

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
      return reduceServer(state, action.message);
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
    case 'dataSaver':
      return { ...state, dataSaver: action.on, page: 0 };
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
      return readIfOpen({
        ...state,
        everOpen: true,
        self: message.self,
        role: message.role,
        meeting: message.meeting,
        participants: keepOrder(state.participants, message.roster),
        publications: byKey(message.publications, ({ id }) => id),
        slots: byKey(message.slots, ({ mid }) => mid),
        recording: message.recording,
        thread: resume(state.thread, message.events, message.cursor),
      });
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
    case 'muted': {
      const muted = state.self === null ? state : patchParticipant(state, state.self, muteField(message.kind, true));
      const name = state.participants.get(message.by)?.displayName ?? '';
      if (message.kind === 'screen') {
        return withNotice({ ...state, wanted: { ...state.wanted, screen: false, screenAudio: false } }, { code: 'shareTaken', name });
      }
      return withNotice(
        { ...muted, wanted: { ...muted.wanted, [message.kind]: false } },
        { code: 'mutedBy', name },
      );
    }
    case 'recording':
      return { ...state, recording: { state: message.state, recordingId: message.recordingId } };
    case 'answer': {
      const publications = new Map(state.publications);
      for (const publication of message.publications) publications.set(publication.id, publication);
      return { ...state, publications };
    }
    case 'health': {
      const next = { ...state, health: reduceHealth(state.health, { told: message }) };
      return { ...next, audioOnly: stepAudioOnly(state.audioOnly, lookOf(next)) };
    }
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

/** @param {MeetingState} state @param {import('../protocol/messages.js').RosterMessage} message @returns {MeetingState} */
function reduceRoster(state, message) {
  const participants = new Map(state.participants);
  let next = state;
  for (const id of message.left) {
    const gone = participants.get(id);
    participants.delete(id);
    if (gone && id !== state.self) next = announce(next, { code: 'left', name: gone.displayName });
  }
  for (const participant of message.joined) {
    const isNew = !participants.has(participant.id) && participant.id !== state.self;
    participants.set(participant.id, participant);
    if (isNew) next = announce(next, { code: 'joined', name: participant.displayName });
  }
  for (const participant of message.changed) {
    const isNews = participant.spotlit && participants.get(participant.id)?.spotlit === false && participant.id !== state.self;
    participants.set(participant.id, participant);
    if (isNews) next = announce(next, { code: 'spotlit', name: participant.displayName });
  }
  return { ...next, participants };
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

/**
 * After a reconnection everybody stays in their place; newcomers go to the end.
 *
 * @param {ReadonlyMap<string, Participant>} before
 * @param {readonly Participant[]} roster
 */
function keepOrder(before, roster) {
  const now = byKey(roster, ({ id }) => id);
  /** @type {Map<string, Participant>} */
  const ordered = new Map();
  for (const id of before.keys()) {
    const participant = now.get(id);
    if (participant) ordered.set(id, participant);
  }
  for (const participant of roster) ordered.set(participant.id, participant);
  return ordered;
}

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

/** @param {MeetingState} state @param {NoticeContent} content @returns {MeetingState} */
function withNotice(state, content) {
  const notice = { ...content, id: state.nextId };
  // What is tried again and again is said once.
  const others = state.notices.filter(({ code }) => code !== 'busy' || content.code !== 'busy');
  return { ...state, nextId: state.nextId + 1, notices: [...others, notice].slice(-NOTICES_MAX) };
}

/** @param {MeetingState} state @param {Announcement['content']} content @returns {MeetingState} */
const announce = (state, content) => ({
  ...state,
  nextId: state.nextId + 1,
  announcement: { id: state.nextId, content },
});

/** @param {MeetingState} state @returns {MeetingState} */
const readIfOpen = (state) => (state.panel === 'chat' ? { ...state, thread: markRead(state.thread) } : state);

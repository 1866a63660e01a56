/**
 * Questions that several parts of the page ask of the meeting's state, answered once.
 */

/** @import { MeetingState } from './meeting.js' */
/** @import { CaptureKind, Participant, Publication, PublicationKind } from '../protocol/messages.js' */

/** @param {MeetingState} state @returns {Participant | null} */
export const selfOf = (state) => (state.self === null ? null : state.participants.get(state.self) ?? null);

/**
 * Whether others get nothing of this kind from us. While connected it is what the server acknowledged; without a
 * connection nobody gets anything, and the button follows the person's wish.
 *
 * @param {MeetingState} state
 * @param {CaptureKind} kind
 */
export function isOwnMuted(state, kind) {
  const self = selfOf(state);
  if (state.link.phase !== 'open' || self === null) return !state.wanted[kind] || state.capture[kind] === 'none';
  if (state.capture[kind] === 'none') return true;
  return kind === 'microphone' ? self.microphoneMuted : self.cameraMuted;
}

/**
 * Whether the server lets nothing of this kind through from us, as far as it has said.
 *
 * @param {MeetingState} state
 * @param {Participant} self
 * @param {PublicationKind} kind
 */
export function isMutedAtServer(state, self, kind) {
  if (kind === 'microphone') return self.microphoneMuted;
  if (kind === 'camera') return self.cameraMuted;
  return ![...state.publications.values()].some((publication) => publication.participantId === self.id && publication.kind === kind);
}

/** Whether this page shares a screen. @param {MeetingState} state */
export const isSharing = (state) => state.capture.screen === 'live';

/**
 * Whether pictures of a publication are for anybody's eyes: not those that were on their way when a camera was switched off.
 *
 * @param {MeetingState} state
 * @param {Publication} publication
 */
export function isVisible({ participants }, { participantId, kind }) {
  const person = participants.get(participantId);
  return person !== undefined && (kind === 'screen' || !person.cameraMuted);
}

/** Whether somebody's hand is raised. @param {Participant | null} participant */
export const isRaised = (participant) => typeof participant?.hand === 'number';

/** Whether somebody is a human being, at a page or on the phone. @param {{ kind: string }} participant */
export const isHuman = ({ kind }) => kind !== 'recorder';

/** Whether there is a recording that goes on or may go on. @param {MeetingState} state */
export const isRecording = ({ recording }) => recording.state === 'starting' || recording.state === 'on' || recording.state === 'paused';

/** @param {MeetingState} state */
export const isPaused = ({ recording }) => recording.state === 'paused';

/** @param {MeetingState} state @returns {Participant[]} Everybody who has a place on the stage, in order of arrival. */
export const othersOnStage = (state) =>
  [...state.participants.values()].filter(({ id, kind }) => id !== state.self && kind !== 'recorder');

/**
 * Who is heard at the moment: the level of each audio slot's newest contributing source, and the active speaker where
 * no audio slot carries them.
 *
 * @param {MeetingState} state
 * @param {ReadonlySet<number>} audible Publications above the threshold.
 * @returns {Set<string>}
 */
export function speakingParticipants(state, audible) {
  /** @type {Set<string>} */
  const speaking = new Set();
  for (const id of audible) {
    const publication = state.publications.get(id);
    if (publication?.kind === 'microphone') speaking.add(publication.participantId);
  }
  if (state.speaker !== null) {
    const inSlot = [...state.slots].some(
      ([mid, slot]) => state.slotKinds.get(mid) === 'audio' && slot.participantId === state.speaker,
    );
    if (!inSlot) speaking.add(state.speaker);
  }
  for (const id of speaking) if (state.participants.get(id)?.microphoneMuted) speaking.delete(id);
  return speaking;
}

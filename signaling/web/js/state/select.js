/**
 * Questions that several parts of the page ask of the meeting's state, answered once.
 */

/** @import { MeetingState } from './meeting.js' */
/** @import { Participant, PublicationKind } from '../protocol/messages.js' */

/** @param {MeetingState} state @returns {Participant | null} */
export const selfOf = (state) => (state.self === null ? null : state.participants.get(state.self) ?? null);

/**
 * Whether others get nothing of this kind from us. While connected it is what the server acknowledged; without a
 * connection nobody gets anything, and the button follows the person's wish.
 *
 * @param {MeetingState} state
 * @param {PublicationKind} kind
 */
export function isOwnMuted(state, kind) {
  const self = selfOf(state);
  if (state.link.phase !== 'open' || self === null) return !state.wanted[kind] || state.capture[kind] === 'none';
  if (state.capture[kind] === 'none') return true;
  return kind === 'microphone' ? self.microphoneMuted : self.cameraMuted;
}

/** @param {MeetingState} state */
export const isRecording = (state) => state.recording.state === 'starting' || state.recording.state === 'on';

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
    if (publication) speaking.add(publication.participantId);
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

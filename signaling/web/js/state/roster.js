/**
 * Who is in the meeting, as the server tells it: everybody keeps their place, and what happens is said to those who only hear.
 */

import { announce } from './notices.js';
import { isRaised } from './select.js';

/** @import { MeetingState } from './meeting.js' */
/** @import { Participant } from '../protocol/messages.js' */

/** @param {MeetingState} state @param {import('../protocol/messages.js').RosterMessage} message @returns {MeetingState} */
export function reduceRoster(state, message) {
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
    const before = participants.get(participant.id);
    participants.set(participant.id, participant);
    if (before === undefined || participant.id === state.self) continue;
    const name = participant.displayName;
    if (participant.spotlit && !before.spotlit) next = announce(next, { code: 'spotlit', name });
    else if (isRaised(participant) && !isRaised(before)) next = announce(next, { code: 'raised', name });
  }
  return { ...next, participants };
}

/**
 * After a reconnection everybody stays in their place; newcomers go to the end.
 *
 * @param {ReadonlyMap<string, Participant>} before
 * @param {readonly Participant[]} roster
 */
export function keepOrder(before, roster) {
  const now = new Map(roster.map((participant) => [participant.id, participant]));
  /** @type {Map<string, Participant>} */
  const ordered = new Map();
  for (const id of before.keys()) {
    const participant = now.get(id);
    if (participant) ordered.set(id, participant);
  }
  for (const participant of roster) ordered.set(participant.id, participant);
  return ordered;
}

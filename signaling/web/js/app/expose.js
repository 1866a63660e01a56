/**
 * What outside tests and the curious may look at: `window.plenum`.
 *
 * Why: a test should wait for facts (who is in which slot, how many offers were wanted) and not for pixels alone.
 * Nothing here can change the meeting.
 */

import { negotiations } from '../media/transport.js';

/** @import { Call } from './call.js' */

/** @param {Call} call */
export function exposeForTests(call) {
  Object.defineProperty(window, 'plenum', {
    configurable: true,
    value: Object.freeze({
      get pc() {
        return call.transport?.pc ?? null;
      },
      get negotiations() {
        return negotiations.wanted;
      },
      state: () => snapshot(call.store.state),
    }),
  });
}

/** @param {import('../state/meeting.js').MeetingState} state */
function snapshot(state) {
  return {
    ending: state.ending,
    link: { ...state.link },
    media: state.media,
    self: state.self,
    role: state.role,
    order: { ...state.order, waiting: [...state.order.waiting.values()] },
    meeting: state.meeting,
    participants: [...state.participants.values()],
    publications: [...state.publications.values()],
    slots: [...state.slots.values()].map((slot) => ({ ...slot, kind: state.slotKinds.get(slot.mid) ?? null })),
    shown: Object.fromEntries(
      [...state.shown].map(([mid, id]) => [mid, { publicationId: id, participantId: state.publications.get(id)?.participantId ?? null }]),
    ),
    speaker: state.speaker,
    view: state.view,
    page: state.page,
    pinned: [...state.pinned],
    lowBandwidth: state.lowBandwidth,
    recording: { ...state.recording },
    consent: state.consent,
    phoneCalls: [...state.phoneCalls],
    events: [...state.thread.events],
    cursor: state.thread.cursor,
    pending: [...state.thread.pending],
    capture: { ...state.capture },
    wanted: { ...state.wanted },
    health: { told: state.health.told, own: state.health.own && { ...state.health.own, pictures: Object.fromEntries(state.health.own.pictures) }, grade: state.health.down.grade },
    audioOnly: { ...state.audioOnly },
    panel: state.panel,
    notices: [...state.notices],
  };
}

/**
 * Who shares a screen, and the tile that shows it.
 *
 *   publications (a screen is there only while it is shared) -> sharerOf -> screenTile -> scene.js: large, with people beside it
 */

import { pictureIn } from './layout.js';

/** @import { Tile } from './layout.js' */
/** @import { MeetingState } from './meeting.js' */

/** @param {MeetingState} state @returns {string | null} Who shares their screen, oneself included. */
export function sharerOf(state) {
  for (const { kind, participantId } of state.publications.values()) if (kind === 'screen') return participantId;
  return null;
}

/** @param {MeetingState} state @returns {Tile | null} The tile of the screen that somebody else shares. */
export function screenTile(state) {
  const participantId = sharerOf(state);
  if (participantId === null || participantId === state.self || !state.participants.has(participantId)) return null;
  for (const [mid, kind] of state.slotKinds) {
    const picture = kind === 'video' ? pictureIn(state, mid) : null;
    if (picture?.kind === 'screen' && picture.participantId === participantId) {
      return { key: `slot-${mid}`, mid, participantId, live: picture.live, kind: 'screen' };
    }
  }
  return { key: `screen-${participantId}`, mid: null, participantId, live: false, kind: 'screen' };
}

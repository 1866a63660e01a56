/**
 * What is on the stage and where: the tiles, and the grid that makes them as large as the window allows.
 *
 * Why pure: "a tile never changes its person without changing its name first" and "people keep their place" are rules
 * about data, so they are kept and tested here, without a browser.
 *
 *   MeetingState -> tilesOf -> scene.js (who of them is in sight) -> grid -> ui/stage.js
 */

import { isVisible, othersOnStage } from './select.js';

/** @import { MeetingState } from './meeting.js' */
/** @import { PublicationKind } from '../protocol/messages.js' */

/**
 * @typedef {object} Tile
 * @property {string} key Stable for the life of the element: the slot's, or the participant's without a slot.
 * @property {string | null} mid The slot whose `<video>` it holds.
 * @property {string} participantId Whom it shows, and so whose name is on it.
 * @property {boolean} live Whether the slot's picture is that person's; otherwise their initials cover it.
 * @property {'screen'} [kind] It shows their screen and not their camera.
 */
/** @typedef {{ x: number, y: number, width: number, height: number }} Box */

export const TILE_RATIO = 16 / 9;
const SIZE_STEP = 16;

/**
 * What a slot shows: whose camera or screen. The name follows the picture: as long as frames of the previous person are on the screen
 * their name stays, whatever the server has assigned meanwhile.
 *
 * @param {MeetingState} state
 * @param {string} mid
 * @returns {{ participantId: string, kind: PublicationKind, live: boolean } | null}
 */
export function pictureIn(state, mid) {
  const slot = state.slots.get(mid);
  const assigned = slot?.participantId ?? null;
  if (!slot || assigned === null) return null;
  const pictured = state.publications.get(state.shown.get(mid) ?? -1);
  if (pictured && isVisible(state, pictured)) return { participantId: pictured.participantId, kind: pictured.kind, live: true };
  const { kind } = state.publications.get(slot.publicationId ?? -1) ?? { kind: 'camera' };
  return state.participants.has(assigned) ? { participantId: assigned, kind, live: false } : null;
}

/** Whose camera a slot's tile shows. @param {MeetingState} state @param {string} mid */
export function personInSlot(state, mid) {
  const picture = pictureIn(state, mid);
  return picture?.kind === 'camera' ? { participantId: picture.participantId, live: picture.live } : null;
}

/**
 * Every tile that belongs on the stage, in the order in which people came.
 *
 * @param {MeetingState} state
 * @returns {Tile[]}
 */
export function tilesOf(state) {
  /** @type {Map<string, Tile>} */
  const byPerson = new Map();
  for (const [mid, kind] of state.slotKinds) {
    if (kind !== 'video') continue;
    const person = personInSlot(state, mid);
    if (person === null || person.participantId === state.self) continue;
    const present = byPerson.get(person.participantId);
    // For a moment two slots may stand for one person; the one with the picture counts.
    if (!present || (person.live && !present.live)) byPerson.set(person.participantId, { key: `slot-${mid}`, mid, ...person });
  }
  return othersOnStage(state).map(
    ({ id }) => byPerson.get(id) ?? { key: `person-${id}`, mid: null, participantId: id, live: false },
  );
}

/**
 * How many tiles of at least `minWidth` fit.
 *
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @param {number} minWidth
 */
export function capacityOf(width, height, gap, minWidth) {
  const columns = Math.floor((width + gap) / (minWidth + gap));
  const rows = Math.floor((height + gap) / (minWidth / TILE_RATIO + gap));
  return Math.max(1, columns) * Math.max(1, rows);
}

/**
 * The grid of `count` equal 16:9 tiles that maximises their area; the last row is centred.
 *
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @returns {Box[]}
 */
export function grid(count, width, height, gap) {
  if (count <= 0 || width <= 0 || height <= 0) return [];
  let best = { columns: 1, tile: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const tile = Math.max(
      0,
      Math.min((width - gap * (columns - 1)) / columns, ((height - gap * (rows - 1)) / rows) * TILE_RATIO),
    );
    // A hair of tolerance: of equally large grids the one with fewer columns reads better in a tall window.
    if (tile > best.tile + 0.01) best = { columns, tile };
  }
  const tileWidth = Math.floor(best.tile);
  const tileHeight = Math.floor(best.tile / TILE_RATIO);
  const rows = Math.ceil(count / best.columns);
  const top = (height - rows * tileHeight - (rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / best.columns);
    const inRow = row === rows - 1 ? count - row * best.columns : best.columns;
    const left = (width - inRow * tileWidth - (inRow - 1) * gap) / 2;
    return {
      x: Math.round(left + (index - row * best.columns) * (tileWidth + gap)),
      y: Math.round(top + row * (tileHeight + gap)),
      width: tileWidth,
      height: tileHeight,
    };
  });
}

/** Above everybody in a strip or a grid. */
const LARGE_PRIORITY = 255;

/**
 * Which pictures to ask the server for, and how large: those whose tiles are in sight.
 *
 * @param {MeetingState} state
 * @param {readonly Tile[]} visible
 * @param {readonly Box[]} [boxes] Theirs.
 * @param {number} [scale] The screen's pixels for one of the page's.
 * @param {number} [large] How many of them, from the first, are shown large.
 * @returns {import('../protocol/messages.js').Want[]}
 */
export function wantsOf(state, visible, boxes = [], scale = 1, large = 0) {
  const slots = [...state.slotKinds.values()].filter((kind) => kind === 'video').length;
  const areAllIn = visible.length <= slots;
  return visible.map(({ participantId, kind }, index) => ({
    participantId,
    kind: kind ?? 'camera',
    // Where everybody in sight has a slot nobody of equal size comes before the active speaker.
    priority: index < large || kind === 'screen' ? LARGE_PRIORITY : areAllIn ? 1 : Math.max(1, Math.min(LARGE_PRIORITY - 1, visible.length - index)),
    width: pixels(boxes[index]?.width, scale),
    height: pixels(boxes[index]?.height, scale),
  }));
}

/**
 * A side of a tile in the screen's own pixels, in steps: a window that is being resized is not worth a message for each.
 *
 * @param {number | undefined} side
 * @param {number} scale
 */
function pixels(side, scale) {
  return Math.min(8_192, Math.ceil(((side ?? 0) * scale) / SIZE_STEP) * SIZE_STEP);
}

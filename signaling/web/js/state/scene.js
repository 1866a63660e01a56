/**
 * Who is in sight: whom the person pinned or who speaks is large, the others stand in a grid or a strip, a page at a time.
 *
 * Why pure: people keep their place from page to page, a pin outlives paging and a lost connection, and nobody is asked
 * for whose tile is not in sight. Those are rules about data.
 *
 *   MeetingState, tiles, room -> sceneOf -> { large, page's tiles, boxes } -> ui/stage.js -> wishOf -> server
 */

import { TILE_RATIO, capacityOf, grid, wantsOf } from './layout.js';
import { othersOnStage } from './select.js';

/** @import { Box, Tile } from './layout.js' */
/** @import { MeetingState } from './meeting.js' */

/** @typedef {'grid' | 'gallery' | 'speaker'} View `grid`: as many as came with the join; `gallery`: up to 49; `speaker`: one large. */
/**
 * @typedef {object} Room What there is to lay out in.
 * @property {number} width
 * @property {number} height
 * @property {number} gap
 * @property {number} minWidth Of a tile that is still legible.
 * @property {number} slots Pictures that every connection has room for from the start.
 * @property {number} own 1 where the own picture takes a place among the tiles, otherwise 0.
 */
/**
 * @typedef {object} Scene
 * @property {Tile[]} tiles In sight: the large ones first.
 * @property {Box[]} boxes Theirs, and after them the own picture's where it takes a place.
 * @property {number} large How many of them are large.
 * @property {number} page From 0.
 * @property {number} pages
 */

/** Tiles of one page of the gallery: 7 x 7. */
export const GALLERY_TILES = 49;
/** Pictures at once with low bandwidth. */
export const LOW_TILES = 4;
/** Bits a second with low bandwidth: a large picture of middling quality and three small ones. */
export const LOW_BITRATE = 600_000;
/** People that may be pinned at once. */
export const PINS_MAX = 4;
/** The strip beside large tiles. */
const STRIP = 0.12;
const STRIP_MIN = 150;

/**
 * Whose tiles are large: a shared screen alone, otherwise whoever is pinned, in the order of pinning, otherwise whoever is in
 * the spotlight, otherwise whoever spoke last where the person wants that.
 *
 * @param {MeetingState} state
 * @param {readonly Tile[]} tiles
 * @returns {Tile[]}
 */
export function largeTiles(state, tiles) {
  const screen = tiles.find(({ kind }) => kind === 'screen');
  if (screen) return [screen];
  /** @param {string} id */
  const of = (id) => tiles.find(({ participantId }) => participantId === id);
  const pinned = state.pinned.map(of).filter((tile) => tile !== undefined);
  if (pinned.length > 0) return pinned;
  const spotlit = tiles.length > 1 ? tiles.find((tile) => isSpotlit(state, tile)) : undefined;
  if (spotlit) return [spotlit];
  if (state.view !== 'speaker') return [];
  const speaker = (state.lastSpeaker === null ? undefined : of(state.lastSpeaker)) ?? tiles[0];
  return speaker === undefined ? [] : [speaker];
}

/**
 * What is on the page that is open.
 *
 * @param {MeetingState} state
 * @param {readonly Tile[]} tiles Everybody's, in the order in which they came.
 * @param {Room} room
 * @returns {Scene}
 */
export function sceneOf(state, tiles, room) {
  const large = largeTiles(state, tiles);
  const others = inOrder(state, tiles.filter((tile) => !large.includes(tile)), large);
  const limit = tilesMax(state, room.slots);
  const fit = large.length > 0 ? stripOf(room).capacity : capacityOf(room.width, room.height, room.gap, room.minWidth);
  const size = Math.max(1, Math.min(fit - room.own, limit - large.length));
  const pages = Math.max(1, Math.ceil(others.length / size));
  const page = Math.min(state.page, pages - 1);
  const shown = others.slice(page * size, (page + 1) * size);
  const small = shown.length + room.own;
  const boxes = large.length > 0 ? withStrip(large.length, small, room) : grid(small, room.width, room.height, room.gap);
  return { tiles: [...large, ...shown], boxes, large: large.length, page, pages };
}

/** @param {MeetingState} state @param {Tile} tile */
const isSpotlit = (state, { participantId }) => state.participants.get(participantId)?.spotlit === true;

/**
 * Beside a screen whoever is pinned or in the spotlight comes first; otherwise people keep their order.
 *
 * @param {MeetingState} state
 * @param {Tile[]} others
 * @param {readonly Tile[]} large
 */
function inOrder(state, others, large) {
  if (large[0]?.kind !== 'screen') return others;
  /** @param {Tile} tile */
  const isFirst = (tile) => state.pinned.includes(tile.participantId) || isSpotlit(state, tile);
  return [...others.filter(isFirst), ...others.filter((tile) => !isFirst(tile))];
}

/**
 * Most tiles at once.
 *
 * @param {MeetingState} state
 * @param {number} slots
 */
function tilesMax(state, slots) {
  const most = state.view === 'gallery' ? GALLERY_TILES : slots;
  return state.lowBandwidth ? Math.min(LOW_TILES, most) : most;
}

/**
 * A column at the side of a wide stage, a row below a tall one.
 *
 * @param {Room} room
 */
function stripOf({ width, height, gap }) {
  const beside = width >= height;
  const tileWidth = Math.floor(beside ? Math.max(STRIP_MIN, width * STRIP) : Math.min(STRIP_MIN, (width - gap) / 2));
  const tileHeight = Math.floor(tileWidth / TILE_RATIO);
  const capacity = beside ? (height + gap) / (tileHeight + gap) : (width + gap) / (tileWidth + gap);
  return { beside, tileWidth, tileHeight, capacity: Math.max(1, Math.floor(capacity)) };
}

/**
 * Boxes of large tiles, then of those in the strip.
 *
 * @param {number} large
 * @param {number} small
 * @param {Room} room
 * @returns {Box[]}
 */
function withStrip(large, small, room) {
  const { width, height, gap } = room;
  if (small === 0) return grid(large, width, height, gap);
  const { beside, tileWidth, tileHeight } = stripOf(room);
  const main = beside
    ? grid(large, Math.max(1, width - tileWidth - gap), height, gap)
    : grid(large, width, Math.max(1, height - tileHeight - gap), gap);
  const along = beside ? height : width;
  const step = (beside ? tileHeight : tileWidth) + gap;
  const start = (along - small * step + gap) / 2;
  const strip = Array.from({ length: small }, (_, index) => {
    const at = Math.round(start + index * step);
    return { x: beside ? width - tileWidth : at, y: beside ? at : height - tileHeight, width: tileWidth, height: tileHeight };
  });
  return [...main, ...strip];
}

/**
 * What to ask the server for: whose pictures, how large, and the most that the person wants to spend. Others fill free slots
 * only where everybody is in sight anyway: newcomers then need no further message.
 *
 * @param {MeetingState} state
 * @param {Scene} scene
 * @param {number} scale The screen's pixels for one of the page's.
 * @returns {import('../protocol/messages.js').LayoutWish}
 */
export function wishOf(state, { tiles, boxes, large, pages }, scale) {
  const wants = wantsOf(state, tiles, boxes, scale, large);
  if (state.lowBandwidth) return { wants, fill: false, maxTiles: LOW_TILES, maxBitrate: LOW_BITRATE, mix: true };
  return { wants, fill: pages === 1 };
}

/**
 * Tiles in sight whose cameras are on.
 *
 * @param {MeetingState} state
 * @param {Scene} scene
 */
export function picturesIn(state, { tiles }) {
  const others = new Map(othersOnStage(state).map((person) => [person.id, person]));
  return tiles.filter(({ participantId, kind }) => {
    if (kind === 'screen') return true;
    const person = others.get(participantId);
    return person !== undefined && person.hasCamera && !person.cameraMuted;
  }).length;
}

/**
 * How many pictures the connection should have room for: in steps, since each is an offer of one's own. Null: it has enough.
 *
 * @param {number} pictures In sight, with their cameras on.
 * @param {number} slots
 */
export function slotsFor(pictures, slots) {
  if (pictures <= slots) return null;
  return [9, 16, 25, 36].find((step) => step >= pictures) ?? GALLERY_TILES;
}

/**
 * Pins a person for oneself, or lets go. Who is pinned beyond the limit takes the place of the first.
 *
 * @param {readonly string[]} pinned
 * @param {string} participantId
 * @returns {string[]}
 */
export function togglePin(pinned, participantId) {
  if (pinned.includes(participantId)) return pinned.filter((id) => id !== participantId);
  return [...pinned, participantId].slice(-PINS_MAX);
}

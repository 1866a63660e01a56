/**
 * The stage: a tile for everybody else, as large as the window allows.
 *
 * Why two passes: which tiles exist and in which order is data (`state/layout.js`); here each gets its element and its
 * box. Elements of slots are made once and hidden when empty, because a `<video>` that leaves the page stops.
 *
 *   MeetingState -> tilesOf -> fitToStage -> grid -> boxes (CSS variables);   audible levels -> ring (an attribute)
 */

import { capacityOf, fitToStage, grid, tilesOf } from '../state/layout.js';
import { speakingParticipants } from '../state/select.js';
import { en } from '../text/en.js';
import { h, icon, setAttr, setHidden, setText } from './dom.js';
import { createTile, putIn } from './tile.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { Box, Tile } from '../state/layout.js' */
/** @import { TileView } from './tile.js' */

const GAP = 12;
const GAP_NARROW = 8;
const TILE_MIN = 216;
const TILE_MIN_NARROW = 150;
/** Where tiles are less than this many times as wide as the own picture, it would hide one: it gets a place among them. */
const CROWDED = 2;
const LEVELS_EVERY_MS = 120;
const TILE_ATTRIBUTES = ['data-participant-id', 'data-name', 'data-speaking', 'data-live', 'data-camera'];

/**
 * @typedef {object} StageContext
 * @property {() => MeetingState} state
 * @property {(mid: string) => HTMLVideoElement} video
 * @property {() => Set<number>} audible
 * @property {(tiles: readonly Tile[], boxes: readonly Box[]) => void} visible
 * @property {() => void} showPeople
 * @property {{ element: HTMLElement, place: (box: Box | null) => void }} self The own picture; null puts it in its corner.
 * @property {() => void} copyLink
 */

/** As `.self-view` in stage.css has it. @param {number} stageWidth */
const selfWidth = (stageWidth) => Math.min(232, Math.max(104, stageWidth * 0.17));

/** @param {StageContext} context */
export function createStage(context) {
  /** @type {Map<string, TileView>} */
  const views = new Map();
  /** @type {readonly Tile[]} */
  let shown = [];
  const moreCount = h('span', { class: 'face more' });
  const more = h('button', { class: 'tile-more', attrs: { type: 'button' }, on: { click: context.showPeople } }, moreCount);
  const moreTile = h('li', { class: 'tile' }, more);
  const list = h('ul', { class: 'tiles', attrs: { 'aria-label': en.meeting.stage } });
  const alone = h(
    'div',
    { class: 'alone' },
    h('h2', {}, en.meeting.aloneHeading),
    h('p', {}, en.meeting.aloneText),
    h('button', { class: 'button on-stage', attrs: { type: 'button' }, on: { click: context.copyLink } }, icon('link'), en.meeting.copyLink),
  );
  const element = h('div', { class: 'stage' }, list, alone, context.self.element);

  /** @param {Tile} tile */
  const viewOf = (tile) => {
    let view = views.get(tile.key);
    if (!view) {
      view = createTile(tile.mid === null ? null : context.video(tile.mid));
      views.set(tile.key, view);
      list.append(view.element);
    }
    return view;
  };

  const arrange = () => {
    // Of the stage, not of the list: that one is hidden while nobody else is here.
    const { clientWidth: width, clientHeight: height } = element;
    const narrow = width < 600;
    const gap = narrow ? GAP_NARROW : GAP;
    const state = context.state();
    const all = tilesOf(state);
    const capacity = capacityOf(width, height, gap, narrow ? TILE_MIN_NARROW : TILE_MIN);
    /** @param {number} places Taken by the own picture. */
    const fit = (places) => {
      const fitted = fitToStage(all, Math.max(1, capacity - places), state.speaker);
      const count = fitted.tiles.length + (fitted.hidden > 0 ? 1 : 0) + places;
      return { ...fitted, boxes: grid(count, width, height, gap) };
    };
    const apart = fit(0);
    const crowded = all.length > 0 && (apart.boxes[0]?.width ?? Infinity) < CROWDED * selfWidth(width);
    const { tiles, hidden, boxes } = crowded ? fit(1) : apart;
    context.self.place(crowded ? boxes.at(-1) ?? null : null);
    const keep = new Set(tiles.map(({ key }) => key));
    for (const [key, view] of views) {
      if (keep.has(key)) continue;
      if (key.startsWith('slot-')) {
        setHidden(view.element, true);
        // A hidden tile shows nobody, also to those who read the page by its attributes.
        for (const name of TILE_ATTRIBUTES) setAttr(view.element, name, null);
      } else {
        view.element.remove();
        views.delete(key);
      }
    }
    tiles.forEach((tile, index) => {
      const person = state.participants.get(tile.participantId);
      const box = boxes[index];
      if (!person || !box) return;
      const view = viewOf(tile);
      setHidden(view.element, false);
      view.update(tile, person);
      view.place(box);
    });
    placeMore(hidden, boxes[tiles.length]);
    setHidden(alone, all.length > 0 || !state.everOpen);
    setHidden(list, all.length === 0);
    shown = tiles;
    context.visible(tiles, boxes);
  };

  /** @param {number} hidden @param {Box | undefined} box */
  const placeMore = (hidden, box) => {
    if (hidden === 0 || !box) {
      moreTile.remove();
      return;
    }
    setText(moreCount, en.meeting.more(hidden));
    setAttr(more, 'aria-label', en.meeting.moreLabel(hidden));
    putIn(box, moreTile);
    list.append(moreTile);
  };

  const light = () => {
    const speaking = speakingParticipants(context.state(), context.audible());
    for (const tile of shown) views.get(tile.key)?.setSpeaking(speaking.has(tile.participantId));
  };

  const observer = new ResizeObserver(arrange);
  observer.observe(element);
  const levels = setInterval(light, LEVELS_EVERY_MS);
  return {
    element,
    update: arrange,
    dispose() {
      observer.disconnect();
      clearInterval(levels);
    },
  };
}

/**
 * The stage: a tile for everybody else, as large as the window allows, on as many pages as it takes, or somebody's screen with
 * people beside it.
 *
 * Why two passes: which tiles exist and in which order is data (`state/layout.js`); here each gets its element and its
 * box. Elements of slots are made once and hidden when empty, because a `<video>` that leaves the page stops.
 *
 *   MeetingState -> tilesOf -> sceneOf -> boxes (CSS variables);   audible levels -> ring (an attribute)
 */

import { isPaused } from '../state/health.js';
import { tilesOf } from '../state/layout.js';
import { sceneOf } from '../state/scene.js';
import { speakingParticipants } from '../state/select.js';
import { screenTile } from '../state/share.js';
import { en } from '../text/en.js';
import { h, icon, setAttr, setHidden } from './dom.js';
import { PAGER_HEIGHT, createPager } from './pager.js';
import { createTile } from './tile.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { Box, Tile } from '../state/layout.js' */
/** @import { Scene } from '../state/scene.js' */
/** @import { TileView } from './tile.js' */

const GAP = 12;
const GAP_NARROW = 8;
const TILE_MIN = 216;
const TILE_MIN_NARROW = 150;
const TILE_MIN_GALLERY = 160;
/** Tiles less than this many times as wide as the own picture are small. */
const CROWDED = 2;
const LEVELS_EVERY_MS = 120;
const SPARE_MAX = 8;
/** @type {Record<string, number>} */
const ARROWS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const TILE_ATTRIBUTES = ['data-participant-id', 'data-name', 'data-speaking', 'data-live', 'data-camera'];

/**
 * @typedef {object} StageContext
 * @property {() => MeetingState} state
 * @property {(mid: string) => HTMLVideoElement} video
 * @property {() => Set<number>} audible
 * @property {(scene: Scene) => void} visible
 * @property {number} slots Pictures that every connection has room for from the start.
 * @property {(page: number) => void} turn
 * @property {(participantId: string) => void} pin
 * @property {{ element: HTMLElement, place: (box: Box | null) => void }} self The own picture; null puts it in its corner.
 * @property {() => void} copyLink
 * @property {() => void} invite
 */

/** As `.self-view` in stage.css has it. @param {number} stageWidth */
const selfWidth = (stageWidth) => Math.min(232, Math.max(104, stageWidth * 0.17));

/** @param {StageContext} context */
export function createStage(context) {
  /** @type {Map<string, TileView>} */
  const views = new Map();
  /** @type {TileView[]} Of people who went, for those who come: where many pass by, making tiles is most of the work. */
  const spare = [];
  /** @type {readonly Tile[]} */
  let shown = [];
  const list = h('ul', { class: 'tiles', attrs: { 'aria-label': en.meeting.stage } });
  const alone = h(
    'div',
    { class: 'alone' },
    h('h2', {}, en.meeting.aloneHeading),
    h('p', {}, en.meeting.aloneText),
    h(
      'div',
      { class: 'alone-ways' },
      h('button', { class: 'button on-stage', attrs: { type: 'button' }, on: { click: context.copyLink } }, icon('link'), en.meeting.copyLink),
      h('button', { class: 'button on-stage', attrs: { type: 'button' }, on: { click: context.invite } }, en.people.invitation),
    ),
  );
  const pager = createPager({ turn: (by) => turn(by) });
  const element = h('div', { class: 'stage' }, list, alone, context.self.element, pager.element);
  let pages = 1;

  /** @param {Tile} tile */
  const viewOf = (tile) => {
    let view = views.get(tile.key);
    if (!view) {
      const reused = tile.mid === null ? spare.pop() : undefined;
      view = reused ?? createTile(tile.mid === null ? null : context.video(tile.mid), context.pin);
      views.set(tile.key, view);
      list.append(view.element);
    }
    return view;
  };

  /**
   * Of the stage, not of the list: that one is hidden while nobody else is here. Read anew only when the observer says so: in
   * the middle of an update the browser would have to lay out the whole page to tell.
   *
   * @type {{ width: number, height: number } | null}
   */
  let size = null;
  const measure = () => (size = { width: element.clientWidth, height: element.clientHeight });

  const arrange = () => {
    const { width, height } = size ?? measure();
    const narrow = width < 600;
    const state = context.state();
    const screen = screenTile(state);
    const all = screen ? [screen, ...tilesOf(state)] : tilesOf(state);
    const minWidth = narrow ? TILE_MIN_NARROW : state.view === 'gallery' ? TILE_MIN_GALLERY : TILE_MIN;
    const space = { width, gap: narrow ? GAP_NARROW : GAP, minWidth, slots: context.slots };
    /** @param {number} room Of the height. */
    const lookAt = (room) => {
      const apart = sceneOf(state, all, { ...space, height: room, own: 0 });
      // Over small tiles the own picture would hide one: it takes a place among them.
      const small = apart.boxes[apart.large];
      const crowds = small !== undefined && (apart.large > 0 || small.width < CROWDED * selfWidth(width));
      const scene = crowds ? sceneOf(state, all, { ...space, height: room, own: 1 }) : apart;
      return { scene, own: crowds ? scene.boxes.at(-1) ?? null : null };
    };
    const whole = lookAt(height);
    const { scene, own } = whole.scene.pages > 1 ? lookAt(Math.max(1, height - PAGER_HEIGHT)) : whole;
    const { tiles, boxes } = scene;
    pages = scene.pages;
    pager.update(scene.page, pages);
    context.self.place(own);
    // A person's tile may get another element, with their slot's picture in it: the keyboard stays with the person.
    const focused = shown.find(({ key }) => views.get(key)?.pin === document.activeElement)?.participantId;
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
        view.setSpeaking(false);
        if (spare.length < SPARE_MAX) spare.push(view);
      }
    }
    tiles.forEach((tile, index) => {
      const person = state.participants.get(tile.participantId);
      const box = boxes[index];
      if (!person || !box) return;
      const view = viewOf(tile);
      setHidden(view.element, false);
      view.update(tile, person, { pinned: state.pinned.includes(tile.participantId), paused: isPaused(state, person, tile.kind ?? 'camera') });
      view.place(box);
    });
    setHidden(alone, all.length > 0 || !state.everOpen);
    setHidden(list, all.length === 0);
    shown = tiles;
    const tile = focused === undefined ? undefined : tiles.find(({ participantId }) => participantId === focused);
    if (tile) views.get(tile.key)?.pin.focus({ preventScroll: true });
    rove();
    context.visible(scene);
  };

  /** @param {1 | -1} by */
  const turn = (by) => {
    // There may be fewer pages by now than when this one was opened.
    const from = Math.min(context.state().page, pages - 1);
    const to = Math.max(0, Math.min(pages - 1, from + by));
    if (to !== context.state().page) context.turn(to);
  };

  /** One stop for the Tab key; arrow keys go from tile to tile. @param {number} [by] */
  const rove = (by = 0) => {
    const pins = shown.map(({ key }) => views.get(key)?.pin).filter((pin) => pin !== undefined);
    const from = Math.max(0, pins.findIndex((pin) => pin === document.activeElement));
    const at = Math.max(0, Math.min(pins.length - 1, from + by));
    const chosen = pins[at];
    for (const { pin } of views.values()) setAttr(pin, 'tabindex', pin === chosen ? '0' : '-1');
    if (by !== 0) chosen?.focus();
  };
  list.addEventListener('keydown', (event) => {
    const by = ARROWS[event.key];
    if (by === undefined) return;
    event.preventDefault();
    rove(by);
  });

  const light = () => {
    const speaking = speakingParticipants(context.state(), context.audible());
    for (const tile of shown.filter(({ kind }) => kind !== 'screen')) {
      views.get(tile.key)?.setSpeaking(speaking.has(tile.participantId));
      speaking.delete(tile.participantId);
    }
    const { participants, self } = context.state();
    const elsewhere = [...speaking].find((id) => id !== self);
    pager.hear((elsewhere && participants.get(elsewhere)?.displayName) ?? '');
  };

  const observer = new ResizeObserver(() => {
    measure();
    arrange();
  });
  observer.observe(element);
  const levels = setInterval(light, LEVELS_EVERY_MS);
  return {
    element,
    update: arrange,
    turn,
    dispose() {
      observer.disconnect();
      clearInterval(levels);
    },
  };
}

/**
 * The chat beside the player: each message from the time on at which it was written; a click goes there.
 *
 * Why all of them are made at once and hidden: going back and forth then only shows and hides those in between.
 */

import { writtenAt } from '../state/recording.js';
import { duration } from '../text/format.js';
import { recordings } from '../text/en-recordings.js';
import { h, icon, setAttr, setHidden, setText } from './dom.js';

/** @import { PlacedLine } from '../state/recording.js' */

const words = recordings.chat;
/** Closer to the end than this, the list follows. */
const FOLLOW_PX = 60;

/** @param {{ seek: (atMs: number) => void }} context */
export function createPlayerChat({ seek }) {
  /** @type {readonly PlacedLine[]} */
  let lines = [];
  /** @type {HTMLElement[]} */
  let rows = [];
  let shown = 0;
  let wrote = 0;
  let at = 0;
  let showsAll = false;
  let follows = true;
  const list = h('ol', { class: 'player-chat-list' });
  const note = h('p', { class: 'panel-empty' });
  const log = h('div', { class: 'player-chat-scroll', attrs: { role: 'log', 'aria-label': words.log, 'aria-live': 'off', tabindex: '0' }, on: { scroll: () => look() } }, note, list);
  const newest = h('button', { class: 'button small player-chat-newest', attrs: { type: 'button', hidden: true }, on: { click: () => follow() } }, words.toNewest);
  const all = h(
    'button',
    {
      class: 'button quiet small',
      attrs: { type: 'button' },
      on: {
        click: () => {
          showsAll = !showsAll;
          setText(all, showsAll ? words.follow : words.showAll);
          update(at);
        },
      },
    },
    words.showAll,
  );
  const element = h(
    'aside',
    { class: 'player-chat', attrs: { 'aria-labelledby': 'player-chat-heading' } },
    h('div', { class: 'player-chat-head' }, h('h2', { attrs: { id: 'player-chat-heading' } }, words.heading), all),
    log,
    newest,
  );

  /** Scrolling by the reader ends following, scrolling back to the end begins it. */
  const look = () => {
    follows = log.scrollHeight - log.scrollTop - log.clientHeight < FOLLOW_PX;
    setHidden(newest, follows);
  };
  const follow = () => {
    log.scrollTop = log.scrollHeight;
    look();
  };
  /** @param {number} atMs */
  const update = (atMs) => {
    at = atMs;
    const written = writtenAt(lines, atMs);
    const visible = showsAll ? lines.length : written;
    for (let n = Math.min(shown, visible); n < Math.max(shown, visible); n += 1) {
      const row = rows[n];
      if (row) setHidden(row, n >= visible);
    }
    const grew = visible !== shown;
    shown = visible;
    for (let n = Math.min(wrote, written); n < Math.max(wrote, written); n += 1) {
      const row = rows[n];
      if (row) setAttr(row, 'data-written', String(n < written));
    }
    wrote = written;
    setText(note, lines.length === 0 ? words.none : visible === 0 ? words.notYet : '');
    setHidden(note, visible > 0);
    if (grew && follows && !showsAll) follow();
  };
  return {
    element,
    update,
    /** @param {readonly PlacedLine[]} next */
    show(next) {
      if (next === lines) return;
      lines = next;
      shown = 0;
      wrote = 0;
      rows = lines.map((line) => lineRow(line, seek));
      for (const row of rows) row.hidden = true;
      list.replaceChildren(...rows);
      setHidden(all, lines.length === 0);
      update(at);
    },
  };
}

/** @param {PlacedLine} line @param {(atMs: number) => void} seek */
function lineRow({ seq, atMs, from, text }, seek) {
  const when = duration(atMs);
  return h(
    'li',
    { class: 'player-chat-line', data: { seq: String(seq), written: 'false' } },
    h('button', { class: 'player-chat-time', attrs: { type: 'button', 'aria-label': words.seek(when), title: words.seek(when) }, on: { click: () => seek(atMs) } }, icon('play'), when),
    h('div', { class: 'player-chat-words' }, h('p', { class: 'player-chat-name' }, from.displayName), h('p', { class: 'player-chat-text', on: { click: () => seek(atMs) } }, text)),
  );
}

/**
 * Who spoke when: one lane a person under the seek bar, on the same scale, and the breaks across all of them.
 *
 * Why one path a lane and one button a name: a long meeting has thousands of turns; by keyboard the name goes from turn to
 * turn, by pointer the lane is a seek bar of its own.
 */

import { isSpeaking, laneShape, lanesOf, nextTurn } from '../state/recording.js';
import { within } from '../state/playback.js';
import { duration } from '../text/format.js';
import { recordings } from '../text/en-recordings.js';
import { h, setAttr } from './dom.js';

/** @import { Timeline } from '../protocol/recordings-http.js' */
/** @import { Lane } from '../state/recording.js' */

const words = recordings.lanes;
const SVG = 'http://www.w3.org/2000/svg';

/** @param {Timeline} timeline @param {{ seek: (atMs: number) => void }} context */
export function createLanes(timeline, { seek }) {
  const length = Math.max(1, timeline.durationMs);
  let at = 0;
  const rows = lanesOf(timeline).map((lane) => ({ lane, element: laneRow(lane, length, seek, () => at) }));
  const head = h('span', { class: 'lane-playhead' });
  const marks = timeline.breaks.map(({ atMs, from, to, cause }) => {
    const text = words.gap(words.causes[cause] ?? cause, duration(atMs), duration(Date.parse(to) - Date.parse(from)));
    const mark = h('span', { class: 'lane-break', attrs: { title: text } });
    mark.style.insetInlineStart = share(atMs, length);
    return { mark, text };
  });
  const element = h(
    'section',
    { class: 'lanes', attrs: { 'aria-labelledby': 'lanes-heading' } },
    h('h2', { attrs: { id: 'lanes-heading' } }, words.heading),
    rows.length === 0 ? h('p', { class: 'hint' }, words.nobody) : null,
    h(
      'div',
      { class: 'lanes-box' },
      h('ul', { class: 'lanes-list' }, ...rows.map(({ element: row }) => row)),
      h('div', { class: 'lanes-over', attrs: { 'aria-hidden': 'true' } }, ...marks.map(({ mark }) => mark), head),
    ),
    marks.length === 0 ? null : h('ul', { class: 'hint lanes-breaks' }, ...marks.map(({ text }) => h('li', {}, text))),
  );
  return {
    element,
    /** @param {number} atMs */
    update(atMs) {
      at = atMs;
      head.style.insetInlineStart = share(within(atMs, length), length);
      for (const { lane, element: row } of rows) setAttr(row, 'data-speaking', String(isSpeaking(lane, atMs)));
    },
  };
}

/** @param {number} atMs @param {number} length */
const share = (atMs, length) => `${(100 * atMs) / length}%`;

/** @param {Lane} lane @param {number} length @param {(atMs: number) => void} seek @param {() => number} at */
function laneRow(lane, length, seek, at) {
  const picture = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ class: 'lane-shape', viewBox: `0 0 ${length} 1`, preserveAspectRatio: 'none', 'aria-hidden': 'true' })) {
    picture.setAttribute(name, value);
  }
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', laneShape(lane));
  picture.append(path);
  const track = h(
    'div',
    {
      class: 'lane-track',
      on: {
        click: (/** @type {MouseEvent} */ { clientX }) => {
          const { left, width } = track.getBoundingClientRect();
          seek((length * within(clientX - left, width)) / Math.max(1, width));
        },
      },
    },
  );
  track.append(picture);
  const label = words.next(lane.name, duration(lane.totalMs), lane.turns.length);
  return h(
    'li',
    { class: 'lane', data: { participantId: lane.id, speaking: 'false' } },
    h('button', { class: 'lane-name', attrs: { type: 'button', 'aria-label': label, title: label }, on: { click: () => seek(nextTurn(lane, at())) } }, lane.name),
    track,
  );
}

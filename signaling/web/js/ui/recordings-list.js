/**
 * The recordings that one may watch, newest first; and those that are deleted and that one may bring back.
 */

import { recordingHref, recordingsHref } from '../protocol/http.js';
import * as api from '../protocol/recordings-http.js';
import { dayAndClock, duration, size } from '../text/format.js';
import { recordings as words } from '../text/en-recordings.js';
import { brand, startLink } from './brand.js';
import { h, setHidden, setText } from './dom.js';
import { explain } from './problems.js';

/** @import { Recording } from '../protocol/recordings-http.js' */

/** @param {{ deleted: boolean }} which */
export function openList({ deleted }) {
  document.title = words.title;
  const list = h('ul', { class: 'recordings-list' });
  const note = h('p', { class: 'panel-empty', attrs: { role: 'status' } });
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const more = h('button', { class: 'button quiet', attrs: { type: 'button', hidden: true }, on: { click: () => void load(next) } }, words.more);
  /** @type {string | undefined} */
  let next;
  let isDisposed = false;
  const empty = () => {
    setText(note, list.childElementCount === 0 ? (deleted ? words.noneDeleted : words.none) : '');
    setHidden(note, list.childElementCount > 0 || next !== undefined);
  };
  /** @param {Recording} recording @param {HTMLElement} row */
  const restore = async ({ id }, row) => {
    try {
      await api.restore(id);
      row.remove();
      empty();
    } catch (error) {
      setText(problem, explain(error));
    }
  };
  /** @param {string} [link] */
  const load = async (link) => {
    more.disabled = true;
    try {
      const page = await (deleted ? api.listDeleted(link) : api.listMine(link));
      if (isDisposed) return;
      next = page['@odata.nextLink'];
      list.append(...page.value.map((recording) => (deleted ? deletedRow(recording, restore) : row(recording))));
      setHidden(more, next === undefined);
      empty();
    } catch (error) {
      setText(problem, explain(error));
    }
    more.disabled = false;
  };
  void load();
  const element = h(
    'div',
    { class: 'page' },
    brand(),
    h(
      'main',
      { class: 'recording', attrs: { id: 'main' } },
      h('div', { class: 'recording-words' }, h('h1', {}, deleted ? words.deletedHeading : words.heading), h('p', { class: 'lead' }, deleted ? words.deletedLead : words.lead)),
      problem,
      note,
      list,
      more,
      h(
        'div',
        { class: 'recording-end' },
        h('a', { class: 'button', attrs: { href: deleted ? recordingsHref : `${recordingsHref}/deleted` } }, deleted ? words.showAll : words.showDeleted),
        startLink(words.toStart),
      ),
    ),
  );
  return {
    element,
    dispose: () => {
      isDisposed = true;
    },
  };
}

/** @param {Recording} recording */
const titleOf = ({ subject }) => (subject === '' ? words.untitled : subject);

/** @param {Recording} recording */
export const factsOf = ({ createdDateTime, durationMs, size: bytes, part, expirationDateTime, sharing, state }) =>
  [
    words.states[state],
    dayAndClock(createdDateTime, true),
    durationMs === undefined ? '' : duration(durationMs),
    bytes === undefined ? '' : size(bytes),
    part.number > 1 ? words.part(part.number) : '',
    expirationDateTime === null ? '' : words.expires(dayAndClock(expirationDateTime, true)),
    sharing === 'link' ? words.shared : '',
  ]
    .filter(Boolean)
    .join(' · ');

/** @param {Recording} recording */
const row = (recording) =>
  h(
    'li',
    { class: 'recordings-row', data: { recordingId: recording.id, state: recording.state } },
    h('a', { attrs: { href: recordingHref(recording.id) } }, titleOf(recording)),
    h('p', { class: 'hint' }, factsOf(recording)),
  );

/** @param {Recording} recording @param {(recording: Recording, row: HTMLElement) => Promise<void>} restore */
function deletedRow(recording, restore) {
  const title = titleOf(recording);
  const element = h(
    'li',
    { class: 'recordings-row is-deleted', data: { recordingId: recording.id } },
    h('h2', {}, title),
    h('p', { class: 'hint' }, factsOf(recording)),
    h('button', { class: 'button small', attrs: { type: 'button', 'aria-label': words.restoreOf(title) }, on: { click: () => void restore(recording, element) } }, words.restore),
  );
  return element;
}

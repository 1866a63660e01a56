/**
 * Files that are made of a recording: ordered here, with their progress until they can be saved.
 */

import { isBusy } from '../state/recording.js';
import { recordings } from '../text/en-recordings.js';
import { h, keyed, setAttr, setHidden, setText } from './dom.js';
import { fileLink, filesOf, nameOfRendition } from './player-files.js';

/** @import { GridLayout, RecordingDetails, Rendition, RenditionWish } from '../protocol/recordings-http.js' */
/** @import { ManageContext } from './recording-manage.js' */

const words = recordings.make;

/** @param {ManageContext} context */
export function createMake({ view, explain }) {
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const list = h('ul', { class: 'renditions' });
  /** @type {Map<string, HTMLElement>} */
  const rows = new Map();
  /** @type {Map<string, ReturnType<typeof renditionRow>>} */
  const parts = new Map();
  /** @param {RenditionWish} what */
  const make = async (what) => {
    setText(problem, '');
    await view.make(what).catch((error) => setText(problem, explain(error)));
  };
  const layout = h(
    'select',
    { class: 'input', attrs: { id: 'grid-layout' } },
    ...Object.entries(words.layouts).map(([value, text]) => h('option', { attrs: { value } }, text)),
  );
  const wav = h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: () => void make({ kind: 'wav' }) } }, words.makeWav);
  const grid = h(
    'button',
    { class: 'button small', attrs: { type: 'button' }, on: { click: () => void make({ kind: 'grid', layout: /** @type {GridLayout} */ (layout.value) }) } },
    words.makeGrid,
  );
  const ordering = h(
    'div',
    { class: 'recording-ordering' },
    wav,
    h('div', { class: 'field' }, h('label', { attrs: { for: 'grid-layout' } }, words.layout), layout),
    grid,
  );
  const element = h('section', { class: 'card recording-card' }, h('h2', {}, words.heading), h('p', {}, words.text), ordering, list, problem);
  return {
    element,
    /** @param {RecordingDetails} recording */
    update({ renditions, permissions, complete }) {
      const mayMake = permissions.includes('render') && complete;
      setHidden(ordering, !mayMake);
      setHidden(element, !mayMake && renditions.length === 0);
      keyed(list, rows, renditions, ({ name }) => name, (rendition) => {
        const row = renditionRow(rendition);
        parts.set(rendition.name, row);
        return row.element;
      });
      for (const rendition of renditions) parts.get(rendition.name)?.update(rendition);
    },
  };
}

/** @param {Rendition} rendition */
function renditionRow(rendition) {
  const id = `rendition-${rendition.name}`;
  const state = h('p', { class: 'hint' });
  const progress = h('progress', { attrs: { max: '100', 'aria-labelledby': id } });
  const files = h('div', { class: 'rendition-files' });
  const element = h('li', { class: 'rendition', data: { rendition: rendition.name } }, h('h3', { attrs: { id } }, nameOfRendition(rendition)), state, progress, files);
  let known = '';
  return {
    element,
    /** @param {Rendition} now */
    update(now) {
      setAttr(element, 'data-state', now.state);
      setText(state, textOf(now));
      setHidden(progress, !isBusy(now));
      if (now.state === 'running') progress.value = now.percent;
      else progress.removeAttribute('value');
      const made = filesOf(now);
      if (known === JSON.stringify(made)) return;
      known = JSON.stringify(made);
      files.replaceChildren(...made.map(({ label, url }) => fileLink(`${words.save}: ${label}`, url)));
    },
  };
}

/** @param {Rendition} rendition */
function textOf(rendition) {
  switch (rendition.state) {
    case 'queued':
      return words.queued;
    case 'running':
      return words.running(rendition.percent);
    case 'ready':
      return words.ready;
    case 'failed':
      return words.failed(rendition.reason);
  }
}

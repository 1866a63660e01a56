/**
 * The download menu: the whole, each person's sound and picture, and what was made of it.
 */

import { savingUrl } from '../state/recording.js';
import { size } from '../text/format.js';
import { recordings } from '../text/en-recordings.js';
import { h, icon, setAttr } from './dom.js';

/** @import { RecordingDetails, Rendition } from '../protocol/recordings-http.js' */

const words = recordings.files;

/** What somebody called a file when they ordered it. @param {Rendition} rendition */
export const nameOfRendition = (rendition) => (rendition.kind === 'wav' ? recordings.make.wav : recordings.make.grids[rendition.layout]);

/** @param {Rendition} rendition @returns {{ label: string, url: string }[]} */
export function filesOf(rendition) {
  const name = nameOfRendition(rendition);
  if (rendition.state !== 'ready') return [];
  return rendition.files.map(({ contentUrl }, n) => ({ label: rendition.files.length > 1 ? words.several(name, n + 1) : name, url: contentUrl }));
}

export function createFiles() {
  const list = h('div', { class: 'player-files', attrs: { id: 'player-files', popover: 'auto', role: 'group', 'aria-label': recordings.player.download } });
  const button = h(
    'button',
    { class: 'button icon-only quiet', attrs: { type: 'button', popovertarget: 'player-files', 'aria-label': recordings.player.download, title: recordings.player.download, 'aria-expanded': 'false' } },
    icon('download'),
  );
  const place = () => {
    const { right, top } = button.getBoundingClientRect();
    list.style.left = `${Math.max(8, right - list.offsetWidth)}px`;
    list.style.top = `${Math.max(8, top - list.offsetHeight - 8)}px`;
  };
  list.addEventListener('toggle', (event) => {
    const isOpen = /** @type {ToggleEvent} */ (event).newState === 'open';
    setAttr(button, 'aria-expanded', String(isOpen));
    // It stays at its button while the window is scrolled or changes its size.
    for (const moves of ['resize', 'scroll']) {
      if (isOpen) window.addEventListener(moves, place);
      else window.removeEventListener(moves, place);
    }
    if (!isOpen) return;
    place();
    list.querySelector('a')?.focus({ preventScroll: true });
  });
  let known = '';
  return {
    element: h('div', {}, button, list),
    /** @param {RecordingDetails} recording */
    update({ contentUrl, contentSize, tracks, renditions, chatUrl }) {
      // An open menu keeps its focus while something else is being made.
      const now = JSON.stringify([contentUrl, contentSize, tracks, renditions.flatMap(filesOf), chatUrl]);
      if (now === known) return;
      known = now;
      list.replaceChildren(
        ...(contentSize === undefined ? [] : [fileLink(words.whole, contentUrl, size(contentSize))]),
        ...renditions.flatMap(filesOf).map(({ label, url }) => fileLink(label, url)),
        ...(chatUrl === undefined ? [] : [fileLink(words.chat, `${chatUrl}?format=vtt`)]),
        ...(tracks.length === 0 ? [] : [h('h3', {}, words.tracks)]),
        ...tracks.map(({ displayName, kind, contentUrl: url, size: bytes }) => fileLink(words.track(displayName, words.kinds[kind]), url, size(bytes))),
      );
    },
  };
}

/** @param {string} label @param {string} url @param {string} [hint] */
export const fileLink = (label, url, hint) =>
  h('a', { class: 'player-file', attrs: { href: savingUrl(url), download: '' } }, h('span', {}, label), hint ? h('span', { class: 'hint' }, hint) : null);

/**
 * The player: one `<video>`, our own bar under it, and the keys that work on the whole page.
 *
 * Why not the browser's own controls: speed, the names of those who speak and the downloads belong together, and look the
 * same everywhere.
 *
 *   load(source) -> video -> moved(ms) -> bar, lanes, chat        keys, bar -> act -> video
 */

import { keyAct, nextSpeed, within } from '../state/playback.js';
import { recordings as words } from '../text/en-recordings.js';
import { h, setAttr } from './dom.js';
import { createBar } from './player-bar.js';

/** @import { KeyAct, KeyPlace } from '../state/playback.js' */

/** Of HTMLMediaElement: the length is known. */
const HAVE_METADATA = 1;

/**
 * @param {object} context
 * @param {HTMLElement} context.menu The downloads: a button and what it opens.
 * @param {(atMs: number) => void} context.moved
 * @param {(code: number) => void} context.failed A code of MediaError.
 */
export function createPlayer({ menu, moved, failed }) {
  const video = h('video', { class: 'player-video', attrs: { playsinline: true, preload: 'metadata', 'aria-label': words.player.label } });
  let known = 0;
  const total = () => (Number.isFinite(video.duration) && video.duration > 0 ? video.duration : known);
  /** @param {number} seconds */
  const seek = (seconds) => {
    video.currentTime = within(seconds, total());
    tell();
  };
  /** @param {KeyAct | { do: 'seekTo', at: number } | { do: 'volumeTo', at: number } | { do: 'speedTo', at: number }} act */
  const run = (act) => {
    switch (act.do) {
      case 'toggle':
        if (video.paused) void video.play().catch(() => {});
        else video.pause();
        break;
      case 'seek':
        return seek(video.currentTime + act.by);
      case 'seekTo':
        return seek(act.at);
      case 'start':
        return seek(0);
      case 'end':
        return seek(total());
      case 'volume':
        video.muted = false;
        video.volume = within(Math.round((video.volume + act.by) * 100) / 100, 1);
        break;
      case 'volumeTo':
        video.muted = false;
        video.volume = within(act.at, 1);
        break;
      case 'mute':
        video.muted = !video.muted;
        break;
      case 'speed':
        video.defaultPlaybackRate = video.playbackRate = nextSpeed(video.playbackRate, act.by);
        break;
      case 'speedTo':
        video.defaultPlaybackRate = video.playbackRate = act.at;
        break;
      case 'fullScreen':
        if (document.fullscreenElement) void document.exitFullscreen();
        else void element.requestFullscreen?.().catch(() => {});
        break;
    }
  };
  const bar = createBar({ run, menu });
  const lanes = h('div', { class: 'player-lanes-place' });
  const element = h(
    'section',
    { class: 'player', attrs: { 'aria-label': words.player.label } },
    h('div', { class: 'player-stage', on: { click: () => run({ do: 'toggle' }) } }, video),
    bar.element,
    lanes,
  );
  const tell = () => {
    bar.update({
      at: video.currentTime,
      total: total(),
      isPaused: video.paused,
      isMuted: video.muted || video.volume === 0,
      volume: video.volume,
      speed: video.playbackRate,
      isFull: document.fullscreenElement === element,
    });
    moved(video.currentTime * 1000);
  };
  for (const event of ['timeupdate', 'durationchange', 'play', 'pause', 'ended', 'seeking', 'seeked', 'volumechange', 'ratechange', 'loadedmetadata']) {
    video.addEventListener(event, tell);
  }
  video.addEventListener('error', () => {
    if (video.hasAttribute('src')) failed(video.error?.code ?? 0);
  });
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (document.querySelector('dialog[open]') || video.hidden || !video.hasAttribute('src')) return;
    const act = keyAct(event, placeOf(event.target));
    if (act === null) return;
    event.preventDefault();
    run(act);
  };
  document.addEventListener('keydown', keys);
  document.addEventListener('fullscreenchange', tell);
  tell();
  return {
    element,
    lanes,
    /** @param {number} atMs */
    seek: (atMs) => seek(atMs / 1000),
    /** Plays something else from where it was, as it was. @param {string | null} source @param {number} durationMs */
    load(source, durationMs) {
      known = durationMs / 1000;
      if (source === null) {
        video.pause();
        video.removeAttribute('src');
        video.load();
        return;
      }
      const { currentTime, paused, playbackRate } = video;
      const isFirst = !video.hasAttribute('src');
      setAttr(video, 'src', source);
      video.load();
      if (isFirst) return;
      const goOn = () => {
        // What was at its end goes on with what came since.
        if (currentTime > 0) video.currentTime = within(currentTime, total());
        video.playbackRate = playbackRate;
        if (!paused) void video.play().catch(() => {});
      };
      if (video.readyState >= HAVE_METADATA) goOn();
      else video.addEventListener('loadedmetadata', goOn, { once: true });
    },
    dispose() {
      document.removeEventListener('keydown', keys);
      document.removeEventListener('fullscreenchange', tell);
      video.pause();
      video.removeAttribute('src');
      video.load();
    },
  };
}

/** @param {EventTarget | null} target @returns {KeyPlace} */
function placeOf(target) {
  if (!(target instanceof HTMLElement)) return 'page';
  if (target.matches('[data-seek]')) return 'seek';
  if (target.matches('input, select, textarea, [contenteditable]')) return 'own';
  return target.matches('button, a, summary, [role="button"]') ? 'press' : 'page';
}

/**
 * The bar under the picture: play, position, speed, volume, full screen, downloads.
 */

import { SPEEDS } from '../state/playback.js';
import { duration } from '../text/format.js';
import { recordings } from '../text/en-recordings.js';
import { openDialog } from './dialog.js';
import { h, icon, setAttr, setIcon, setText } from './dom.js';
import { en } from '../text/en.js';

/** @import { KeyAct } from '../state/playback.js' */

/** @typedef {KeyAct | { do: 'seekTo' | 'volumeTo' | 'speedTo', at: number }} PlayerAct */
/** @typedef {{ at: number, total: number, isPaused: boolean, isMuted: boolean, volume: number, speed: number, isFull: boolean }} PlayerState Times in seconds. */

const words = recordings.player;

/** @param {{ run: (act: any) => void, menu: HTMLElement }} context `run` takes a `PlayerAct`. */
export function createBar({ run, menu }) {
  /** @param {PlayerAct} act */
  const wish = (act) => run(act);
  const seek = h('input', {
    class: 'player-seek',
    data: { seek: '' },
    attrs: { type: 'range', min: '0', max: '0', step: '0.1', value: '0', 'aria-label': words.seek },
    on: { input: () => wish({ do: 'seekTo', at: Number(seek.value) }) },
  });
  const time = h('p', { class: 'player-time' });
  const play = iconButton('play', () => wish({ do: 'toggle' }));
  const mute = iconButton('sound', () => wish({ do: 'mute' }));
  const full = iconButton('full-screen', () => wish({ do: 'fullScreen' }));
  const keys = iconButton('keyboard', shortcuts);
  keys.element.classList.add('player-keys');
  keys.set('keyboard', words.keys);
  const volume = h('input', {
    class: 'player-volume',
    attrs: { type: 'range', min: '0', max: '1', step: '0.05', value: '1', 'aria-label': words.volume },
    on: { input: () => wish({ do: 'volumeTo', at: Number(volume.value) }) },
  });
  const speed = h(
    'select',
    { class: 'input player-speed', attrs: { 'aria-label': words.speed, title: words.speed }, on: { change: () => wish({ do: 'speedTo', at: Number(speed.value) }) } },
    ...SPEEDS.map((one) => h('option', { attrs: { value: String(one) } }, words.times(one))),
  );
  const element = h(
    'div',
    { class: 'player-bar' },
    h('div', { class: 'player-row player-place' }, time, h('div', { class: 'player-track' }, seek)),
    h(
      'div',
      { class: 'player-row player-controls' },
      play.element,
      mute.element,
      volume,
      h('span', { class: 'player-gap' }),
      speed,
      keys.element,
      menu,
      full.element,
    ),
  );
  return {
    element,
    /** @param {PlayerState} state */
    update({ at, total, isPaused, isMuted, volume: loud, speed: rate, isFull }) {
      const [here, all] = [duration(at * 1000), duration(total * 1000)];
      setText(time, `${here} / ${all}`);
      setAttr(seek, 'max', String(total));
      seek.value = String(at);
      setAttr(seek, 'aria-valuetext', words.place(here, all));
      play.set(isPaused ? 'play' : 'pause', isPaused ? words.play : words.pause);
      mute.set(isMuted ? 'sound-off' : 'sound', isMuted ? words.unmute : words.mute);
      volume.value = String(isMuted ? 0 : loud);
      speed.value = String(rate);
      full.set(isFull ? 'small-screen' : 'full-screen', isFull ? words.leaveFullScreen : words.fullScreen);
    },
  };
}

/** @param {string} name @param {() => void} click */
function iconButton(name, click) {
  const picture = icon(name);
  const element = h('button', { class: 'button icon-only quiet', attrs: { type: 'button' }, on: { click } }, picture);
  return {
    element,
    /** @param {string} shown @param {string} label */
    set(shown, label) {
      setIcon(picture, shown);
      setAttr(element, 'aria-label', label);
      setAttr(element, 'title', label);
    },
  };
}

function shortcuts() {
  const rows = words.shortcuts.map(([keys, what]) => h('div', { class: 'shortcut' }, h('dt', {}, h('kbd', {}, keys)), h('dd', {}, what)));
  openDialog({
    heading: words.keys,
    body: [h('dl', { class: 'shortcuts' }, ...rows)],
    actions: [h('button', { class: 'button', attrs: { type: 'button', autofocus: true } }, en.meeting.done)],
  });
}

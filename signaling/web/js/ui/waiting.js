/**
 * The lobby: somebody has to let us in, or the meeting has to begin. No hint of who is inside, and no own picture.
 *
 * Data goes one way: the call's store -> update. The page goes on by itself when the welcome comes.
 */

import { isOwnMuted } from '../state/select.js';
import { en } from '../text/en.js';
import { brand } from './brand.js';
import { h, icon, setAttr, setIcon, setText } from './dom.js';

/** @import { Call } from '../app/call.js' */
/** @import { CaptureKind } from '../protocol/messages.js' */
/** @import { MeetingState } from '../state/meeting.js' */

/** @param {Call} call @param {{ leave: () => void }} context */
export function createWaiting(call, { leave }) {
  const { store } = call;
  document.title = en.lobby.title;
  const heading = h('h1', {});
  const text = h('p', { class: 'lead' });
  const gone = h('p', { class: 'hint', attrs: { role: 'status' } });
  const devices = [device('microphone', 'mic', 'mic-off', en.lobby.microphone), device('camera', 'camera', 'camera-off', en.lobby.camera)];
  const element = h(
    'div',
    { class: 'page' },
    brand(),
    h(
      'main',
      { class: 'plain waiting', attrs: { id: 'main' } },
      h('div', { class: 'waiting-mark', attrs: { 'aria-hidden': 'true' } }, icon('door')),
      h('div', { class: 'waiting-words', attrs: { role: 'status' } }, heading, text),
      h('div', { class: 'plain-actions' }, ...devices.map(({ button }) => button)),
      h('p', { class: 'hint' }, en.lobby.unseen),
      gone,
      h('div', { class: 'plain-actions' }, h('button', { class: 'button danger', attrs: { type: 'button' }, on: { click: leave } }, icon('leave'), en.meeting.leave)),
    ),
  );

  /** @param {CaptureKind} kind @param {string} on @param {string} off @param {string} name */
  function device(kind, on, off, name) {
    const svg = icon(on);
    const words = h('span', {});
    const button = h(
      'button',
      { class: 'button', attrs: { type: 'button' }, on: { click: () => call.devices.want(kind, isOwnMuted(store.state, kind)) } },
      svg,
      words,
    );
    return {
      button,
      /** @param {MeetingState} state */
      update(state) {
        const muted = isOwnMuted(state, kind);
        setIcon(svg, muted ? off : on);
        setText(words, en.lobby.device(name, !muted));
        setAttr(button, 'aria-pressed', String(!muted));
      },
    };
  }

  /** @param {MeetingState} state */
  const update = (state) => {
    const { lobby } = state.order;
    if (lobby === null) return;
    setText(heading, en.lobby.heading[lobby]);
    setText(text, en.lobby.text[lobby]);
    setText(gone, state.link.phase === 'open' || state.link.phase === 'lobby' ? '' : en.meeting.connectionGone(Math.max(1, state.link.attempt)));
    for (const one of devices) one.update(state);
  };
  const end = store.subscribe(update);
  update(store.state);
  return { element, dispose: end };
}

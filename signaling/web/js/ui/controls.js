/**
 * The bar: microphone, camera, share, hand and reactions, chat, people, recording; leave apart.
 *
 * Why names and not only pictures: the name of each button says what a press will do, and is what tests, screen
 * readers and voice control call it by. Buttons never move; only their name and icon change.
 */

import { canShare } from '../media/display.js';
import { may } from '../state/order.js';
import { isHuman, isOwnMuted, isPaused, isRaised, isRecording, isSharing, selfOf } from '../state/select.js';
import { unreadCount } from '../state/thread.js';
import { en } from '../text/en.js';
import { h, icon, setAttr, setHidden, setIcon, setText } from './dom.js';

/** @import { MeetingState, Panel } from '../state/meeting.js' */
/** @import { CaptureKind } from '../protocol/messages.js' */

/**
 * @typedef {object} ControlsContext
 * @property {(kind: CaptureKind) => void} toggle
 * @property {() => void} toggleShare
 * @property {() => void} toggleHand
 * @property {(panel: Panel) => void} togglePanel
 * @property {() => void} toggleRecording
 * @property {() => void} togglePause Of the recording.
 * @property {() => void} leave
 */

/**
 * @param {{ name: string, icon: string, class?: string, shortcut?: string, click: () => void }} options
 */
function control({ name, icon: picture, class: extra = '', shortcut, click }) {
  const svg = icon(picture);
  const label = h('span', { class: 'control-label', attrs: { 'aria-hidden': 'true' } });
  const badge = h('span', { class: 'badge', attrs: { 'aria-hidden': 'true' } });
  const button = h(
    'button',
    { class: `control ${extra}`, attrs: { type: 'button' }, on: { click } },
    h('span', { class: 'control-icon' }, svg, badge),
    label,
  );
  /** @param {string} newName @param {string} newPicture */
  const set = (newName, newPicture) => {
    setAttr(button, 'aria-label', newName);
    setAttr(button, 'data-tip', shortcut === undefined ? newName : en.meeting.tooltip(newName, shortcut));
    setText(label, newName);
    setIcon(svg, newPicture);
  };
  badge.hidden = true;
  set(name, picture);
  return { button, badge, set };
}

/** @param {ControlsContext} context */
export function createControls(context) {
  const text = en.meeting;
  const microphone = control({ name: text.mute, icon: 'mic', shortcut: 'Ctrl+Shift+M', click: () => context.toggle('microphone') });
  const camera = control({ name: text.cameraOff, icon: 'camera', shortcut: 'Ctrl+Shift+O', click: () => context.toggle('camera') });
  const share = control({ name: text.share, icon: 'screen', shortcut: 'Ctrl+Shift+E', click: context.toggleShare });
  const hand = control({ name: text.raiseHand, icon: 'hand', shortcut: 'Ctrl+Shift+K', click: context.toggleHand });
  const react = control({ name: text.react, icon: 'smile', class: 'control-react', click: () => {} });
  const chat = control({ name: text.chat, icon: 'chat', click: () => context.togglePanel('chat') });
  const people = control({ name: text.people, icon: 'people', click: () => context.togglePanel('people') });
  const record = control({ name: text.record, icon: 'record', class: 'control-record', click: context.toggleRecording });
  const pause = control({ name: text.pauseRecording, icon: 'pause', class: 'control-record', click: context.togglePause });
  const leave = control({ name: text.leave, icon: 'leave', class: 'control-leave', click: context.leave });
  setAttr(microphone.button, 'aria-keyshortcuts', 'Control+Shift+M');
  setAttr(camera.button, 'aria-keyshortcuts', 'Control+Shift+O');
  setAttr(share.button, 'aria-keyshortcuts', 'Control+Shift+E');
  setAttr(hand.button, 'aria-keyshortcuts', 'Control+Shift+K');
  setAttr(react.button, 'popovertarget', 'reactions');
  for (const { button } of [chat, people]) setAttr(button, 'aria-controls', 'panel');
  const element = h(
    'nav',
    { class: 'bar', attrs: { 'aria-label': text.controls } },
    h('div', { class: 'bar-group' }, microphone.button, camera.button, share.button, hand.button, react.button, chat.button, people.button, record.button, pause.button),
    leave.button,
  );

  return {
    element,
    focusPanelButton: (/** @type {Panel} */ panel) => (panel === 'chat' ? chat : people).button.focus(),
    /** @param {MeetingState} state */
    update(state) {
      const micMuted = isOwnMuted(state, 'microphone');
      microphone.set(micMuted ? text.unmute : text.mute, micMuted ? 'mic-off' : 'mic');
      microphone.button.classList.toggle('is-off', micMuted);
      const cameraMuted = isOwnMuted(state, 'camera');
      camera.set(cameraMuted ? text.cameraOn : text.cameraOff, cameraMuted ? 'camera-off' : 'camera');
      camera.button.classList.toggle('is-off', cameraMuted);

      const sharing = isSharing(state);
      share.set(sharing ? text.stopSharing : text.share, sharing ? 'screen-off' : 'screen');
      share.button.classList.toggle('is-sharing', sharing);

      setHidden(share.button, !canShare() || (!sharing && state.everOpen && !may(state, 'share')));
      const raised = isRaised(selfOf(state));
      hand.set(raised ? text.lowerHand : text.raiseHand, 'hand');
      hand.button.classList.toggle('is-sharing', raised);
      setHidden(react.button, !may(state, 'react'));

      const unread = unreadCount(state.thread, state.self);
      setHidden(chat.badge, unread === 0);
      setAttr(chat.badge, 'data-count', unread > 99 ? '99+' : String(unread));
      setAttr(chat.button, 'aria-description', unread === 0 ? null : en.chat.unread(unread));
      setAttr(chat.button, 'aria-expanded', String(state.panel === 'chat'));
      setAttr(people.button, 'aria-expanded', String(state.panel === 'people'));
      const present = [...state.participants.values()].filter(isHuman).length;
      setHidden(people.badge, present === 0);
      people.badge.classList.add('badge-quiet');
      setAttr(people.badge, 'data-count', String(present));

      setHidden(record.button, !may(state, 'record'));
      const recording = isRecording(state);
      record.set(recording ? text.stopRecording : text.record, recording ? 'stop' : 'record');
      record.button.classList.toggle('is-recording', recording);
      // Before its first byte there is nothing to pause.
      setHidden(pause.button, !may(state, 'record') || !recording || state.recording.state === 'starting');
      const paused = isPaused(state);
      pause.set(paused ? text.resumeRecording : text.pauseRecording, paused ? 'record' : 'pause');
    },
  };
}

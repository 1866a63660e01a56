/**
 * The meeting's screen: stage, bar, one panel, notices and the recording mark, and the keys that work everywhere.
 *
 * Data goes one way: the call's store -> update -> each part. What a person does goes to the call.
 */

import { canShare } from '../media/display.js';
import { may } from '../state/order.js';
import { isOwnMuted, isPaused, isRaised, isRecording, isSharing, selfOf } from '../state/select.js';
import { en } from '../text/en.js';
import { createChat } from './chat.js';
import { createConsent } from './consent.js';
import { createControls } from './controls.js';
import { copyLink, shortcutsDialog } from './dialog.js';
import { createLobbyNotice } from './lobby.js';
import { openOptions } from './options.js';
import { explainCall } from './phones.js';
import { explain } from './problems.js';
import { createReactionMenu, createSigns } from './reactions.js';
import { h, setHidden, setText } from './dom.js';
import { createHealth, createHealthButton } from './health.js';
import { createNotices } from './notices.js';
import { createPeople } from './people.js';
import { createSelfView } from './selfview.js';
import { createStage } from './stage.js';
import { watchKeys } from './shortcuts.js';
import { createViewMenu } from './view-menu.js';

/** @import { Call } from '../app/call.js' */
/** @import { MeetingState, Panel } from '../state/meeting.js' */

/** @param {Call} call @param {{ leave: () => void }} context */
export function createMeeting(call, { leave }) {
  const { store } = call;
  const copy = async () => {
    const link = store.state.meeting?.joinWebUrl;
    if (link && (await copyLink(link))) store.dispatch({ type: 'notice', notice: { code: 'linkCopied' } });
  };
  /** @param {string} message */
  const refused = (message) => store.dispatch({ type: 'notice', notice: { code: 'refused', message } });
  let isInviting = false;
  const invite = async () => {
    if (isInviting) return;
    isInviting = true;
    try {
      const [{ invitationDialog }, meeting] = await Promise.all([import('./invitation.js'), call.phones.invitation()]);
      invitationDialog(meeting, en.people.invitation);
    } catch (error) {
      refused(explain(error));
    }
    isInviting = false;
  };
  /** Whether the meeting lets us send nothing of that kind. @param {import('../protocol/messages.js').CaptureKind} kind */
  const isBarred = (kind) => store.state.everOpen && !may(store.state, kind);
  /** @param {import('../protocol/messages.js').CaptureKind} kind */
  const toggle = (kind) => {
    const wanted = isOwnMuted(store.state, kind);
    if (wanted && consent.isAsked()) return consent.ask();
    if (wanted && isBarred(kind)) {
      // Not kept as a wish: it must not come true by itself when it is allowed again.
      store.dispatch({ type: 'notice', notice: { code: 'hardMuted', name: '' } });
      return;
    }
    // Whoever turns the camera on while there is sound alone wants pictures.
    if (kind === 'camera' && wanted && store.state.audioOnly.active) showVideo();
    call.devices.want(kind, wanted);
  };
  const toggleShare = () => (!isSharing(store.state) && consent.isAsked() ? consent.ask() : call.devices.screen.toggle());
  const toggleHand = () => call.asks.hand(!isRaised(selfOf(store.state)));
  const showVideo = () => call.chooseAudioOnly(store.state.audioOnly.choice === 'on' ? 'auto' : 'off');

  const consent = createConsent(() => store.state, (given) => call.asks.consent(given));
  const selfView = createSelfView({ track: (kind) => call.devices.publisher.track(kind) });
  const stage = createStage({
    self: selfView,
    state: () => store.state,
    video: (mid) => call.receiver.video(mid),
    audible: () => call.receiver.audible(),
    visible: (scene) => call.lookAt(scene),
    slots: call.baseSlots,
    turn: (page) => store.dispatch({ type: 'page', page }),
    pin: (participantId) => store.dispatch({ type: 'pin', participantId }),
    copyLink: () => void copy(),
    invite: () => void invite(),
  });
  const controls = createControls({
    toggle,
    toggleShare,
    toggleHand,
    togglePanel: (panel) => (store.state.panel === panel ? closePanel() : openPanel(panel)),
    toggleRecording: () => call.asks.record(isRecording(store.state) ? 'stop' : 'start'),
    togglePause: () => call.asks.record(isPaused(store.state) ? 'resume' : 'pause'),
    leave,
  });
  const notices = createNotices({
    dismiss: (id) => store.dispatch({ type: 'dismissed', id }),
    retryDevices: (kinds) => call.devices.retry(kinds),
    leaveSpotlight: () => call.asks.spotlight(null),
    stopSharing: () => call.devices.screen.stop(),
    turnOnSound: () => void call.receiver.turnOnSound(),
    showVideo,
  });
  const health = createHealthButton(() => (store.state.panel === 'health' ? closePanel() : openPanel('health')));
  const viewMenu = createViewMenu({
    view: (view) => store.dispatch({ type: 'view', view }),
    saveBandwidth: (on) => store.dispatch({ type: 'lowBandwidth', on }),
  });
  const lobby = createLobbyNotice(call.asks, () => openPanel('people'));
  const signs = createSigns((upto) => store.dispatch({ type: 'signsSeen', upto }));
  const locked = h('p', { class: 'locked-mark', attrs: { hidden: true } }, en.meeting.locked);
  const subject = h('h1', { class: 'meeting-subject' });
  const recordingText = h('span', {});
  const recording = h('p', { class: 'recording-mark', attrs: { role: 'status' } }, h('span', { class: 'recording-dot', attrs: { 'aria-hidden': 'true' } }), recordingText);
  notices.element.prepend(lobby.element, consent.element);
  const panel = h('aside', { class: 'panel', attrs: { id: 'panel', 'aria-labelledby': 'panel-heading' } });
  const element = h(
    'div',
    { class: 'meeting' },
    h('header', { class: 'meeting-head' }, subject, locked, recording, consent.withdraw, viewMenu.element, health.button),
    h('main', { class: 'meeting-main', attrs: { id: 'main', tabindex: '-1' } }, stage.element, signs.element, notices.element),
    createReactionMenu((reaction) => call.asks.react(reaction)),
    controls.element,
    panel,
  );

  /** @type {{ element: HTMLElement, update: (state: MeetingState) => void } | null} */
  let content = null;
  /** @type {Panel | null} */
  let shownPanel = null;

  /** @param {Panel} next */
  const openPanel = (next) => {
    store.dispatch({ type: 'panel', panel: next });
    updatePanel(store.state);
    if (content && 'focus' in content && matchMedia('(pointer: fine)').matches) /** @type {{ focus(): void }} */ (content).focus();
  };
  const closePanel = () => {
    const closed = store.state.panel;
    store.dispatch({ type: 'panel', panel: null });
    if (!closed || !panel.contains(document.activeElement)) return;
    if (closed === 'health') health.button.focus();
    else controls.focusPanelButton(closed);
  };

  /** @param {MeetingState} state */
  const updatePanel = (state) => {
    if (state.panel !== shownPanel) {
      shownPanel = state.panel;
      content = createPanel(shownPanel);
      panel.replaceChildren(...(content ? [content.element] : []));
      setHidden(panel, content === null);
      element.classList.toggle('has-panel', content !== null);
    }
    content?.update(state);
  };
  /** @param {Panel | null} which */
  const createPanel = (which) => {
    switch (which) {
      case 'chat':
        return createChatPanel();
      case 'people':
        return createPeoplePanel();
      case 'health':
        return createHealth({ close: closePanel, chooseAudioOnly: (choice) => call.chooseAudioOnly(choice) });
      case null:
        return null;
    }
  };
  const createChatPanel = () =>
    createChat({
      send: (text) => call.chat(text),
      retry: (own) => call.chat(own.text, own.clientMessageId),
      callerNumber: call.phones.callerNumber,
      close: closePanel,
    });
  const createPeoplePanel = () =>
    createPeople({
      asks: call.asks,
      options: () => store.state.meeting && void openOptions(store.state.meeting.id),
      copyLink: () => void copy(),
      invite: () => void invite(),
      phones: { dial: call.phones.dial, hangUp: call.phones.hangUp, refused: (error) => refused(explainCall(error)) },
      close: closePanel,
    });

  /** @param {MeetingState} state */
  const update = (state) => {
    const name = state.meeting?.subject ?? '';
    setText(subject, name === '' ? en.meeting.untitled : name);
    document.title = en.meeting.title(name);
    const isOn = isRecording(state) || state.recording.state === 'stopping';
    setText(recordingText, !isOn ? '' : isPaused(state) ? en.meeting.recordingPaused : en.meeting.recording);
    recording.classList.toggle('is-on', isOn);
    recording.classList.toggle('is-paused', isPaused(state));
    consent.update(state);
    updatePanel(state);
    controls.update(state);
    lobby.update(state, state.panel === 'people');
    signs.update(state);
    setHidden(locked, !state.order.options.isLocked);
    health.update(state);
    notices.update(state);
    selfView.update(state);
    viewMenu.update(state);
    stage.update();
  };

  const endKeys = watchKeys({
    toggle,
    toggleHand,
    toggleShare: () => canShare() && toggleShare(),
    hold: (talking) => call.devices.want('microphone', talking),
    isMuted: () => isOwnMuted(store.state, 'microphone') && !isBarred('microphone'),
    help: shortcutsDialog,
    escape: closePanel,
    turn: stage.turn,
  });
  // Any click or key is the consent that the browser waits for.
  const unblock = () => {
    if (store.state.soundBlocked) void call.receiver.turnOnSound();
  };
  document.addEventListener('click', unblock);
  document.addEventListener('keydown', unblock);
  const endUpdates = store.subscribe(update);
  setHidden(panel, true);
  queueMicrotask(() => update(store.state));
  return {
    element,
    /** What comes from outside of the meeting stands above its own notices. @param {HTMLElement} notice */
    tell: (notice) => notices.element.prepend(notice),
    dispose() {
      endKeys();
      endUpdates();
      document.removeEventListener('click', unblock);
      document.removeEventListener('keydown', unblock);
      stage.dispose();
      selfView.dispose();
      consent.dispose();
    },
  };
}

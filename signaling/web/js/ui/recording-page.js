/**
 * The page of one recording: what it is, the player with its lanes, the chat beside it, and what may be done.
 *
 *   RecordingView.store -> update -> note, player, lanes, chat, files, cards        refusal -> the reason, and a way back
 */

import { RecordingView } from '../app/recording.js';
import { rememberedSignedIn } from '../app/place.js';
import { recordingsHref } from '../protocol/http.js';
import * as api from '../protocol/recordings-http.js';
import { isGrowing, offerOf, phaseOf } from '../state/recording.js';
import { dayAndClock, duration } from '../text/format.js';
import { recordings as words } from '../text/en-recordings.js';
import { en } from '../text/en.js';
import { brand, startLink } from './brand.js';
import { h, setHidden, setText } from './dom.js';
import { createLanes } from './player-lanes.js';
import { createFiles } from './player-files.js';
import { createPlayer } from './player.js';
import { createPlayerChat } from './player-chat.js';
import { explain } from './problems.js';
import { createMake } from './recording-make.js';
import { createExpiry, createRemove, createShare } from './recording-manage.js';

/** @import { RecordingDetails } from '../protocol/recordings-http.js' */
/** @import { RecordingState, Refusal } from '../app/recording.js' */

/** Of MediaError: bytes did not come. */
const MEDIA_ERR_NETWORK = 2;

/** @type {import('../app/recording.js').RecordingEnv} */
const env = {
  later: (run, ms) => {
    const timer = window.setTimeout(run, ms);
    return () => window.clearTimeout(timer);
  },
};

/** @param {string} id */
export function openRecording(id) {
  const view = new RecordingView({ id, api, env });
  const place = h('div', { class: 'page' }, brand(), plain({ heading: en.recording.heading, text: words.loading }, []));
  /** @type {ReturnType<typeof createBody> | null} */
  let body = null;
  const show = (/** @type {HTMLElement} */ main) => {
    body?.dispose();
    body = null;
    place.replaceChildren(head(), main);
  };
  /** @param {RecordingState} state */
  const update = (state) => {
    if (state.refusal !== null) {
      show(refusalPage(state.refusal, state.mayRestore, view));
    } else if (state.recording !== null) {
      if (body === null) {
        const made = createBody(view);
        show(made.element);
        body = made;
      }
      body.update(state, state.recording);
    }
  };
  const end = view.store.subscribe(update);
  document.title = en.recording.title;
  void view.open();
  return {
    element: place,
    dispose: () => {
      end();
      body?.dispose();
      view.dispose();
    },
  };
}

function head() {
  const header = brand();
  if (rememberedSignedIn()) header.append(h('a', { class: 'button', attrs: { href: recordingsHref } }, words.showAll));
  return header;
}

/** @param {{ heading: string, text: string }} said @param {(Node | null)[]} actions */
const plain = ({ heading, text }, actions) =>
  h('main', { class: 'plain', attrs: { id: 'main' } }, h('h1', {}, heading), h('p', { class: 'lead' }, text), h('div', { class: 'plain-actions' }, ...actions));

/** @param {Refusal} refusal */
export function refusalWords({ status, code, message }) {
  const { refused } = words;
  if (status === 401) return refused.signIn;
  if (status === 403) return refused.notYours;
  if (status === 404) return refused.unknown;
  if (status === 410) return code === 'recording_expired' ? refused.expired : { ...refused.deleted, text: message === '' ? refused.deleted.text : message };
  return { ...refused.other, text: en.error(code, message) };
}

/** @param {Refusal} refusal @param {boolean} mayRestore @param {RecordingView} view */
function refusalPage(refusal, mayRestore, view) {
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const button = (/** @type {string} */ text, /** @type {() => Promise<void>} */ act) =>
    h('button', { class: 'button primary', attrs: { type: 'button' }, on: { click: () => void act().catch((error) => setText(problem, explain(error))) } }, text);
  const canTryAgain = refusal.status === 0 || refusal.status >= 429;
  return plain(refusalWords(refusal), [
    mayRestore ? button(words.restore, () => view.restore()) : null,
    canTryAgain ? button(en.tryAgain, () => view.open()) : null,
    startLink(words.toStart),
    problem,
  ]);
}

/** @param {RecordingView} view */
function createBody(view) {
  const heading = h('h1', {});
  const facts = h('p', { class: 'lead' });
  const note = h('p', {});
  const load = h('button', { class: 'button small', attrs: { type: 'button', hidden: true }, on: { click: () => void view.open() } });
  const callout = h('div', { class: 'callout recording-note', attrs: { role: 'status' } }, note, load);
  const fault = h('div', { class: 'callout is-problem', attrs: { role: 'alert', hidden: true } });
  const files = createFiles();
  const chat = createPlayerChat({ seek: (atMs) => player.seek(atMs) });
  /** @type {ReturnType<typeof createLanes> | null} */
  let lanes = null;
  let at = 0;
  const player = createPlayer({
    menu: files.element,
    moved: (atMs) => {
      at = atMs;
      lanes?.update(atMs);
      chat.update(atMs);
    },
    failed: (code) => void fails(code),
  });
  const cards = { share: createShare({ view, explain }), expiry: createExpiry({ view, explain }), make: createMake({ view, explain }) };
  const remove = createRemove({ view, explain });
  const element = h(
    'main',
    { class: 'recording', attrs: { id: 'main' } },
    h('div', { class: 'recording-words' }, heading, facts),
    callout,
    fault,
    h('div', { class: 'recording-stage' }, player.element, chat.element),
    h('div', { class: 'recording-cards' }, cards.make.element, cards.share.element, cards.expiry.element),
    h('div', { class: 'recording-end' }, remove, startLink(words.toStart)),
  );
  /** @type {string | null | undefined} */
  let loaded;
  /** @type {RecordingState['timeline']} */
  let drawn = null;

  /** What is played was exchanged, is gone, or is nothing that this browser can play. @param {number} code */
  const fails = async (code) => {
    await view.look();
    const { recording, source } = view.store.state;
    if (recording === null) return;
    if (offerOf(recording, source) === 'whole') {
      await view.open();
      return;
    }
    const again = h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: () => retry() } }, en.tryAgain);
    fault.replaceChildren(h('p', {}, code === MEDIA_ERR_NETWORK ? words.interrupted : words.undecodable), ...(code === MEDIA_ERR_NETWORK ? [again] : []));
    setHidden(fault, false);
  };
  const retry = () => {
    loaded = undefined;
    setHidden(fault, true);
    void view.open();
  };

  return {
    element,
    /** @param {RecordingState} state @param {RecordingDetails} recording */
    update({ timeline, lines, source }, recording) {
      const subject = recording.subject === '' ? words.untitled : recording.subject;
      document.title = words.titleOf(subject);
      setText(heading, subject);
      setText(facts, factsOf(recording));
      const said = noteOf(recording, source);
      setText(note, said.text);
      setText(load, said.button);
      setHidden(load, said.button === '');
      setHidden(callout, said.text === '');
      setHidden(player.element, source === null);
      if (loaded !== source) {
        loaded = source;
        setHidden(fault, true);
        player.load(source, recording.durationMs ?? 0);
      }
      if (drawn !== timeline && timeline !== null) {
        drawn = timeline;
        lanes = createLanes(timeline, { seek: (atMs) => player.seek(atMs) });
        player.lanes.replaceChildren(lanes.element);
        lanes.update(at);
      }
      setHidden(chat.element, recording.chatUrl === undefined);
      chat.show(lines);
      files.update(recording);
      cards.make.update(recording);
      cards.share.update(recording);
      cards.expiry.update(recording);
      const may = (/** @type {import('../protocol/recordings-http.js').Permission} */ what) => recording.permissions.includes(what);
      setHidden(cards.share.element, !may('change'));
      setHidden(cards.expiry.element, !may('change'));
      setHidden(remove, !may('delete') || phaseOf(recording) === 'live');
    },
    dispose: player.dispose,
  };
}

/** @param {RecordingDetails} recording */
function factsOf({ createdDateTime, durationMs, startedBy, part, state }) {
  const length = durationMs !== undefined && state !== 'recording' ? duration(durationMs) : '';
  return [dayAndClock(createdDateTime, true), length, startedBy === undefined ? '' : words.by(startedBy), part.number > 1 ? words.part(part.number) : '']
    .filter(Boolean)
    .join(' · ');
}

/** What to say of its state, and what to offer. @param {RecordingDetails} recording @param {string | null} source */
export function noteOf(recording, source) {
  if (source === null) return { text: isGrowing(recording) ? words.nothingYet : words.nothing, button: '' };
  const text = words.notes[phaseOf(recording)](duration(recording.durationMs ?? 0));
  switch (offerOf(recording, source)) {
    case 'whole':
      return { text: words.nowComplete, button: words.loadWhole };
    case 'more':
      return { text, button: words.loadMore };
    case 'nothing':
      return { text, button: '' };
  }
}

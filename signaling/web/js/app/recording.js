/**
 * One recording as its page knows it: read at first, looked at again while it grows or something is made of it.
 *
 *   open -> recording, timeline, chat -> store -> ui         look again (10 s while it grows, 1 s while files are made)
 *   ui -> reload, share, keep, remove, restore, make -> server -> store
 */

import { ApiError } from '../protocol/http.js';
import { isBusy, isGrowing, phaseOf, placed, sourceOf, withRendition } from '../state/recording.js';
import { Store } from '../state/store.js';

/** @import { ChatLine, Recording, RecordingDetails, RenditionWish, Timeline } from '../protocol/recordings-http.js' */
/** @import { PlacedLine } from '../state/recording.js' */

/** @typedef {{ status: number, code: string, message: string }} Refusal */
/**
 * @typedef {object} RecordingState
 * @property {RecordingDetails | null} recording Null until it is read.
 * @property {Timeline | null} timeline
 * @property {readonly PlacedLine[]} lines Of the chat.
 * @property {string | null} source What is to be played; changes only when somebody asks for it, or where there was nothing.
 * @property {Refusal | null} refusal Why there is nothing to see.
 * @property {boolean} mayRestore It is deleted, and one may bring it back.
 */
/** @typedef {{ later: (run: () => void, ms: number) => () => void }} RecordingEnv `later` gives what calls it off. */

const GROWING_MS = 10_000;
const MAKING_MS = 1_000;
/** Pages of deleted recordings in which the one at hand is looked for. */
const DELETED_PAGES = 10;

/** @type {RecordingState} */
const NOTHING = { recording: null, timeline: null, lines: [], source: null, refusal: null, mayRestore: false };

export class RecordingView {
  #id;
  #api;
  #later;
  /** @type {(() => void) | null} */
  #callOff = null;
  #disposed = false;
  /** @type {readonly ChatLine[]} */
  #chat = [];

  /** @param {{ id: string, api: typeof import('../protocol/recordings-http.js'), env: RecordingEnv }} context */
  constructor({ id, api, env }) {
    this.#id = id;
    this.#api = api;
    this.#later = env.later;
    /** @type {Store<RecordingState, Partial<RecordingState>>} */
    this.store = new Store((state, change) => ({ ...state, ...change }), NOTHING);
  }

  /** Reads everything, and plays what there is now. */
  async open() {
    try {
      const recording = await this.#api.read(this.#id);
      const [timeline, chat] = await Promise.all([
        phaseOf(recording) === 'live' ? null : this.#api.readTimeline(this.#id),
        recording.chatUrl === undefined ? [] : this.#api.readChat(this.#id),
      ]);
      this.#chat = chat;
      this.#change({ recording, timeline, lines: placed(chat, timeline), source: sourceOf(recording), refusal: null, mayRestore: false });
    } catch (error) {
      await this.#refused(error);
    }
    this.#lookAgain();
  }

  /** Looks whether there is more, or whether it is gone; what is played stays. */
  async look() {
    const { recording: before } = this.store.state;
    try {
      const recording = await this.#api.read(this.#id);
      const wasOver = before !== null && !isGrowing(before);
      if (this.store.state.source === null && sourceOf(recording) !== null) this.#change({ source: sourceOf(recording) });
      this.#change({ recording });
      if (!wasOver && recording.complete) {
        const timeline = await this.#api.readTimeline(this.#id);
        this.#change({ timeline, lines: placed(this.#chat, timeline) });
      }
    } catch (error) {
      // A network that is away for a moment takes nothing from whoever watches.
      if (before === null || (error instanceof ApiError && error.status >= 400 && error.status < 429)) await this.#refused(error);
    }
    this.#lookAgain();
  }

  /** @param {boolean} on @returns {Promise<string | null>} The new link, if one was made. */
  async share(on) {
    const changed = await this.#api.change(this.#id, { sharing: on ? 'link' : 'off' });
    this.#merge(changed);
    return changed.shareUrl ?? null;
  }

  /** @param {string | null} until Null: for good. */
  async keep(until) {
    this.#merge(await this.#api.change(this.#id, { expirationDateTime: until }));
  }

  async remove() {
    await this.#api.remove(this.#id);
    await this.open();
  }

  async restore() {
    await this.#api.restore(this.#id);
    await this.open();
  }

  /** @param {RenditionWish} what */
  async make(what) {
    const ordered = await this.#api.render(this.#id, what);
    const { recording } = this.store.state;
    if (recording !== null) this.#change({ recording: { ...recording, renditions: withRendition(recording.renditions, ordered) } });
    this.#lookAgain();
  }

  dispose() {
    this.#disposed = true;
    this.#callOff?.();
  }

  /** @param {Recording} changed */
  #merge({ shareUrl: _, ...changed }) {
    const { recording } = this.store.state;
    if (recording !== null) this.#change({ recording: { ...recording, ...changed, durationMs: recording.durationMs ?? 0 } });
  }

  /** @param {Partial<RecordingState>} change */
  #change(change) {
    if (!this.#disposed) this.store.dispatch(change);
  }

  /** @param {unknown} error */
  async #refused(error) {
    const { status, code, message } = error instanceof ApiError ? error : { status: 0, code: 'unexpected', message: '' };
    this.#change({ ...NOTHING, refusal: { status, code, message }, mayRestore: status === 410 && (await this.#mayRestore()) });
  }

  /** What is gone does not say who may bring it back; the list of what one may bring back does. */
  async #mayRestore() {
    /** @type {string | undefined} */
    let link;
    for (let page = 0; page < DELETED_PAGES; page += 1) {
      const found = await this.#api.listDeleted(link).catch(() => null);
      if (found?.value.some(({ id }) => id === this.#id)) return true;
      link = found?.['@odata.nextLink'];
      if (link === undefined) return false;
    }
    return false;
  }

  #lookAgain() {
    this.#callOff?.();
    this.#callOff = null;
    const { recording } = this.store.state;
    if (this.#disposed || recording === null) return;
    if (recording.renditions.some(isBusy)) this.#callOff = this.#later(() => void this.#lookAtRenditions(), MAKING_MS);
    else if (isGrowing(recording)) this.#callOff = this.#later(() => void this.look(), GROWING_MS);
  }

  async #lookAtRenditions() {
    try {
      const renditions = await this.#api.listRenditions(this.#id);
      const { recording } = this.store.state;
      if (recording !== null) this.#change({ recording: { ...recording, renditions } });
      this.#lookAgain();
    } catch {
      await this.look();
    }
  }
}

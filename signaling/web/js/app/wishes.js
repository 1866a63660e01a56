/**
 * What the server is told of pictures: which are in sight, and what holds the own one back.
 *
 * Why apart: both are said only when they change and anew on each connection, and sound alone overrules what is in sight.
 *
 *   stage -> look, state.audioOnly -> `layout`       own statistics -> heldBack -> `uplink`
 */

import * as messages from '../protocol/messages.js';

/** @import { HeldBack, LayoutWish } from '../protocol/messages.js' */
/** @import { MeetingState } from '../state/meeting.js' */

/** A window that is being resized is waited for. */
const QUIET_MS = 250;
/** With sound alone; where it was the path that had no room, also fewer voices' worth of it. @param {MeetingState} state @returns {LayoutWish} */
const soundAlone = ({ audioOnly, lowBandwidth }) => ({ wants: [], fill: false, ...(lowBandwidth || audioOnly.why === 'down' ? { mix: true } : {}) });

export class Wishes {
  #state;
  #connection;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** What is in sight. @type {LayoutWish | null} */ #wish = null;
  #sentWish = '';
  /** @type {HeldBack | null} */ #heldBack = null;

  /**
   * @param {() => MeetingState} state
   * @param {{ readonly isOpen: boolean, send(message: messages.ClientMessage): void }} connection
   */
  constructor(state, connection) {
    this.#state = state;
    this.#connection = connection;
  }

  /** A new connection: nothing has been told on it. */
  reset() {
    this.#sentWish = '';
    this.#heldBack = null;
  }

  /** @param {LayoutWish} wish */
  look(wish) {
    this.#wish = wish;
    this.tell();
  }

  tell() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const state = this.#state();
      const wish = state.audioOnly.active ? soundAlone(state) : this.#wish;
      const text = JSON.stringify(wish);
      if (wish === null || text === this.#sentWish || !this.#connection.isOpen) return;
      this.#sentWish = text;
      this.#connection.send(messages.layout(wish));
    }, QUIET_MS);
  }

  /** What the browser says keeps the own camera from being better. @param {HeldBack} heldBack */
  heldBack(heldBack) {
    if (heldBack === this.#heldBack || !this.#connection.isOpen) return;
    this.#heldBack = heldBack;
    this.#connection.send(messages.uplink(heldBack));
  }

  close() {
    clearTimeout(this.#timer);
  }
}

/**
 * The person's own share: from the button to the browser's choice, and to its end, whoever ends it.
 *
 * Why apart from devices: a share begins with a choice in the browser's window each time, and ends in four ways: by the
 * button, by the browser's own bar, by somebody else who shares now, and with the meeting.
 *
 *   button -> captureScreen -> Publisher;   capture, wish -> Store -> changed() -> mutes.js -> server
 */

import { captureScreen } from '../media/display.js';
import { isSharing } from '../state/select.js';

/** @import { Publisher } from '../media/publisher.js' */
/** @import { ShareKind } from '../protocol/messages.js' */
/** @import { Action, MeetingState } from '../state/meeting.js' */
/** @import { Store } from '../state/store.js' */

/** @type {readonly ShareKind[]} */
const KINDS = ['screen', 'screenAudio'];

export class OwnScreen {
  /** @type {Store<MeetingState, Action>} */ #store;
  /** @type {Publisher} */ #publisher;
  /** @type {() => void} */ #changed;
  #over = false;

  /** @param {Store<MeetingState, Action>} store @param {Publisher} publisher @param {() => void} changed */
  constructor(store, publisher, changed) {
    this.#store = store;
    this.#publisher = publisher;
    this.#changed = changed;
  }

  async start() {
    if (this.#store.state.capture.screen !== 'none') return;
    this.#store.dispatch({ type: 'capture', kind: 'screen', capture: 'asking' });
    const shared = await captureScreen().catch(() => {
      this.#store.dispatch({ type: 'notice', notice: { code: 'shareFailed' } });
      return null;
    });
    if (this.#over || !shared?.screen) {
      for (const kind of KINDS) shared?.[kind]?.stop();
      this.#store.dispatch({ type: 'capture', kind: 'screen', capture: 'none' });
      return;
    }
    for (const kind of KINDS) {
      const track = shared[kind];
      if (!track) continue;
      this.#publisher.put(kind, track);
      this.#store.dispatch({ type: 'capture', kind, capture: 'live' });
      this.#store.dispatch({ type: 'wanted', kind, wanted: true });
    }
    this.#changed();
  }

  toggle() {
    if (isSharing(this.#store.state)) this.stop();
    else void this.start();
  }

  stop() {
    for (const kind of KINDS) this.#end(kind);
    this.#changed();
  }

  /** The browser ended a track: its bar was pressed, or the window that was shared is gone. @param {ShareKind} kind */
  lost(kind) {
    if (kind === 'screen') {
      this.stop();
    } else {
      this.#end(kind);
      this.#changed();
    }
  }

  close() {
    this.#over = true;
  }

  /** @param {ShareKind} kind */
  #end(kind) {
    this.#publisher.take(kind);
    this.#store.dispatch({ type: 'capture', kind, capture: 'none' });
    this.#store.dispatch({ type: 'wanted', kind, wanted: false });
  }
}

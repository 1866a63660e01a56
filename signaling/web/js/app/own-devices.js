/**
 * The person's own microphone and camera during a meeting: from the wish to the device and back.
 *
 * Why one place: a device may come late, be refused, or be pulled out, and the wish may have changed meanwhile. What
 * the server is told follows from both (`mutes.js`); the light of a camera follows at once.
 *
 *   wish -> capture -> Publisher;   outcome -> Store -> changed() -> mutes.js
 */

import { byProblem, capture } from '../media/capture.js';
import { Publisher } from '../media/publisher.js';
import { OwnScreen } from './own-screen.js';

/** @import { CaptureKind, PublicationKind } from '../protocol/messages.js' */
/** @import { Action, MeetingState } from '../state/meeting.js' */
/** @import { Store } from '../state/store.js' */

/** @type {readonly CaptureKind[]} */
const KINDS = ['microphone', 'camera'];

export class OwnDevices {
  /** @type {Publisher} */ publisher;
  /** @type {OwnScreen} */ screen;
  /** @type {Store<MeetingState, Action>} */ #store;
  /** @type {() => void} */ #changed;
  #over = false;

  /** @param {Store<MeetingState, Action>} store @param {() => void} changed Wish or device is another now. */
  constructor(store, changed) {
    this.#store = store;
    this.#changed = changed;
    this.publisher = new Publisher((kind) => this.#lost(kind));
    this.screen = new OwnScreen(store, this.publisher, changed);
  }

  /** Takes what the preview captured and asks for the rest. @param {Partial<Record<CaptureKind, MediaStreamTrack>>} tracks */
  begin(tracks) {
    const { wanted } = this.#store.state;
    const missing = KINDS.filter((kind) => {
      const track = tracks[kind];
      if (track && wanted[kind]) this.#take(kind, track);
      else track?.stop();
      return wanted[kind] && !track;
    });
    if (missing.length > 0) void this.#acquire(missing);
  }

  /** @param {CaptureKind} kind @param {boolean} wanted */
  want(kind, wanted) {
    this.#store.dispatch({ type: 'wanted', kind, wanted });
    if (!wanted && kind === 'camera') {
      this.publisher.take('camera');
      this.#store.dispatch({ type: 'capture', kind, capture: 'none' });
    } else if (wanted && this.publisher.track(kind) === null) {
      void this.#acquire([kind]);
    } else {
      this.publisher.enable(kind, wanted);
    }
    this.#changed();
  }

  /** After a problem was put right. @param {readonly CaptureKind[]} kinds */
  retry(kinds) {
    for (const kind of kinds) this.#store.dispatch({ type: 'wanted', kind, wanted: true });
    void this.#acquire(kinds);
  }

  /** Somebody muted us: nothing more leaves this machine either. @param {PublicationKind} kind */
  silence(kind) {
    if (kind === 'screen') this.screen.stop();
    else this.publisher.enable(kind, false);
  }

  close() {
    this.#over = true;
    this.screen.close();
    this.publisher.close();
  }

  /** @param {CaptureKind} kind @param {MediaStreamTrack} track */
  #take(kind, track) {
    track.enabled = this.#store.state.wanted[kind];
    this.publisher.put(kind, track);
    this.#store.dispatch({ type: 'capture', kind, capture: 'live' });
  }

  /** @param {readonly CaptureKind[]} kinds */
  async #acquire(kinds) {
    for (const kind of kinds) this.#store.dispatch({ type: 'capture', kind, capture: 'asking' });
    const { tracks, problems } = await capture(kinds);
    for (const kind of kinds) {
      const track = tracks[kind];
      // A camera that is not wanted any more must not light up; a microphone stays ready, silent.
      if (track && !this.#over && (kind === 'microphone' || this.#store.state.wanted.camera)) {
        this.#take(kind, track);
      } else {
        track?.stop();
        this.#without(kind);
      }
    }
    for (const [problem, affected] of byProblem(problems)) {
      this.#store.dispatch({ type: 'notice', notice: { code: 'device', kinds: affected, problem } });
    }
    this.#changed();
  }

  /** @param {PublicationKind} kind */
  #lost(kind) {
    if (kind === 'screen' || kind === 'screenAudio') {
      this.screen.lost(kind);
      return;
    }
    this.#without(kind);
    this.#store.dispatch({ type: 'notice', notice: { code: 'device', kinds: [kind], problem: 'missing' } });
    this.#changed();
  }

  /** @param {CaptureKind} kind */
  #without(kind) {
    this.#store.dispatch({ type: 'capture', kind, capture: 'none' });
    this.#store.dispatch({ type: 'wanted', kind, wanted: false });
  }
}

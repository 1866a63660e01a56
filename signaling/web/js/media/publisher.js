/**
 * What this participant sends: at most one microphone, camera and screen, kept over changes of transport.
 *
 * Why apart from the transport: a path that fails takes no device with it. The new path's empty lines get the same
 * tracks, and the camera's light does not even blink.
 */

import { RIDS } from './layers.js';

/** @import { PublicationKind } from '../protocol/messages.js' */
/** @import { Transport } from './transport.js' */

/** @type {readonly PublicationKind[]} */
const KINDS = ['microphone', 'camera', 'screen', 'screenAudio'];
/** What matters in a picture: of a person that it moves, of a screen that it can be read. */
const HINTS = { camera: 'motion', screen: 'detail', microphone: 'speech', screenAudio: 'music' };

export class Publisher {
  /** @type {Record<PublicationKind, MediaStreamTrack | null>} */
  #tracks = { microphone: null, camera: null, screen: null, screenAudio: null };
  /** @type {Transport | null} */ #transport = null;
  #highest = RIDS.length - 1;
  /** The highest layer that the network allows. @type {number | null} */ #allowed = RIDS.length - 1;
  /** @type {(kind: PublicationKind) => void} */ #lost;

  /** @param {(kind: PublicationKind) => void} lost A device went away by itself (unplugged, or taken back). */
  constructor(lost) {
    this.#lost = lost;
  }

  /** @param {PublicationKind} kind */
  track(kind) {
    return this.#tracks[kind];
  }

  /** @param {Transport} transport */
  attach(transport) {
    this.#transport = transport;
    // Nobody has said anything of the new path's publications.
    this.#highest = RIDS.length - 1;
    for (const kind of KINDS) this.#send(kind);
  }

  /** @param {PublicationKind} kind @param {MediaStreamTrack} track */
  put(kind, track) {
    const before = this.#tracks[kind];
    if (before === track) return;
    this.#tracks[kind] = track;
    track.contentHint = HINTS[kind];
    track.onended = () => {
      if (this.#tracks[kind] !== track) return;
      this.take(kind);
      this.#lost(kind);
    };
    this.#send(kind);
    if (before) stop(before);
  }

  /** Stops and forgets a device; its light goes out. @param {PublicationKind} kind */
  take(kind) {
    const track = this.#tracks[kind];
    this.#tracks[kind] = null;
    this.#send(kind);
    if (track) stop(track);
  }

  /** Silence at once, whatever the server answers. @param {PublicationKind} kind @param {boolean} enabled */
  enable(kind, enabled) {
    const track = this.#tracks[kind];
    if (track) track.enabled = enabled;
  }

  close() {
    this.#transport = null;
    for (const kind of KINDS) this.take(kind);
  }

  /** @param {PublicationKind} kind */
  #send(kind) {
    // Rejected only when the transport is already closed; its successor gets the track by `attach`.
    this.#transport?.senders[kind].replaceTrack(this.#tracks[kind]).catch(() => {});
    if (kind === 'camera') this.#setLayers();
  }

  /** The highest layer of the camera that anybody wants to see. @param {number} layer */
  demand(layer) {
    if (layer === this.#highest) return;
    this.#highest = layer;
    this.#setLayers();
  }

  /** How much of the camera is sent while sound goes first: nothing, the lowest layer, or what is wanted. @param {'nothing' | 'lowest' | 'all'} much */
  allow(much) {
    const allowed = much === 'all' ? RIDS.length - 1 : much === 'lowest' ? 0 : null;
    if (allowed === this.#allowed) return;
    this.#allowed = allowed;
    this.#setLayers();
  }

  #setLayers() {
    const height = this.#tracks.camera?.getSettings().height;
    if (height !== undefined) {
      this.#transport?.setLayers(height, this.#allowed === null ? null : Math.min(this.#highest, this.#allowed));
    }
  }
}

/** @param {MediaStreamTrack} track */
function stop(track) {
  track.onended = null;
  track.stop();
}

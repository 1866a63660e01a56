/**
 * What this participant sees and hears: one `<video>` or `<audio>` per receive slot, for the slot's whole life.
 *
 * Why: the server changes who is in a slot without telling the browser. Each picture carries its publication as CSRC,
 * so the name is read in the very callback that presents a frame, and can never be a frame early or late.
 *
 *   transport.slots -> <video>/<audio>;   frame presented -> newest CSRC -> shown(mid, publication)
 */

/** @import { ReceiveSlot } from './transport.js' */

/** RFC 6464 level as the browser gives it (linear, full scale 1); about -36 dBov. */
const AUDIBLE_LEVEL = 0.015;
/** Entries stay for ten seconds; a voice counts as silent sooner. */
const AUDIBLE_FOR_MS = 350;

/**
 * @typedef {object} ReceiverEvents
 * @property {(mid: string, publicationId: number) => void} shown The source of a picture changed.
 * @property {(blocked: boolean) => void} soundBlocked The browser wants a click first.
 */

/** @param {RTCRtpReceiver} receiver @returns {RTCRtpContributingSource | undefined} */
function newestSource(receiver) {
  // The browser keeps old entries for ten seconds and promises no order.
  return receiver
    .getContributingSources()
    .reduce(
      (/** @type {RTCRtpContributingSource | undefined} */ newest, source) =>
        newest === undefined || source.timestamp > newest.timestamp ? source : newest,
      undefined,
    );
}

export class Receiver {
  /** @type {ReceiverEvents} */ #events;
  /** @type {Map<string, HTMLVideoElement>} */ #videos = new Map();
  /** @type {Map<string, HTMLAudioElement>} */ #audios = new Map();
  /** @type {Map<string, RTCRtpReceiver>} */ #receivers = new Map();
  /** @type {Map<string, number>} */ #shown = new Map();
  #speaker = '';

  /** @param {ReceiverEvents} events @param {HTMLElement} soundRoot Where the (invisible) audio elements live. */
  constructor(events, soundRoot) {
    this.#events = events;
    this.soundRoot = soundRoot;
  }

  /**
   * Connects the elements to a transport's slots. After a change of transport the same elements go on.
   *
   * @param {readonly ReceiveSlot[]} slots
   */
  attach(slots) {
    this.#receivers.clear();
    this.#shown.clear();
    this.add(slots);
  }

  /**
   * Further slots of the same transport: those that are connected already go on untouched.
   *
   * @param {readonly ReceiveSlot[]} slots
   */
  add(slots) {
    for (const { mid, kind, receiver } of slots) {
      if (this.#receivers.has(mid)) continue;
      this.#receivers.set(mid, receiver);
      const stream = new MediaStream([receiver.track]);
      if (kind === 'video') this.#showIn(mid, stream);
      else this.#playIn(mid, stream);
    }
  }

  /** @param {string} mid @returns {HTMLVideoElement} */
  video(mid) {
    let video = this.#videos.get(mid);
    if (!video) {
      video = document.createElement('video');
      video.dataset.mid = mid;
      video.autoplay = true;
      video.playsInline = true;
      video.muted = true;
      video.disablePictureInPicture = true;
      video.tabIndex = -1;
      this.#videos.set(mid, video);
      this.#watchFrames(mid, video);
    }
    return video;
  }

  /** The next frame of this slot reports its source again, even an unchanged one. @param {string} mid */
  forget(mid) {
    this.#shown.delete(mid);
  }

  /** @returns {Set<number>} The publications that are heard at this moment. */
  audible() {
    /** @type {Set<number>} */
    const audible = new Set();
    const now = performance.timeOrigin + performance.now();
    for (const mid of this.#audios.keys()) {
      const receiver = this.#receivers.get(mid);
      const source = receiver && newestSource(receiver);
      if (!source || (source.audioLevel ?? 0) < AUDIBLE_LEVEL) continue;
      // Chromium counts from the epoch, others from the page's start.
      const age = source.timestamp > 1e11 ? now - source.timestamp : performance.now() - source.timestamp;
      if (age < AUDIBLE_FOR_MS) audible.add(source.source);
    }
    return audible;
  }

  /** @param {string} deviceId */
  useSpeaker(deviceId) {
    this.#speaker = deviceId;
    for (const audio of this.#audios.values()) this.#route(audio);
  }

  /** After a click. */
  async turnOnSound() {
    const played = await Promise.allSettled([...this.#audios.values()].map((audio) => audio.play()));
    this.#events.soundBlocked(played.some(({ status }) => status === 'rejected'));
  }

  close() {
    for (const media of [...this.#videos.values(), ...this.#audios.values()]) {
      media.srcObject = null;
      media.remove();
    }
    this.#videos.clear();
    this.#audios.clear();
    this.#receivers.clear();
  }

  /** @param {string} mid @param {MediaStream} stream */
  #showIn(mid, stream) {
    const video = this.video(mid);
    video.srcObject = stream;
    // A muted video may always play; a rejection only says that a newer source came first.
    void video.play().catch(() => {});
  }

  /** @param {string} mid @param {MediaStream} stream */
  #playIn(mid, stream) {
    let audio = this.#audios.get(mid);
    if (!audio) {
      audio = document.createElement('audio');
      audio.dataset.mid = mid;
      audio.autoplay = true;
      this.#audios.set(mid, audio);
      this.soundRoot.append(audio);
    }
    audio.srcObject = stream;
    this.#route(audio);
    audio.play().catch((error) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#events.soundBlocked(true);
    });
  }

  /** @param {HTMLAudioElement} audio */
  #route(audio) {
    if (this.#speaker === '' || !('setSinkId' in audio)) return;
    // A speaker that was unplugged: the browser's default goes on.
    void audio.setSinkId(this.#speaker).catch(() => {});
  }

  /** @param {string} mid @param {HTMLVideoElement} video */
  #watchFrames(mid, video) {
    const look = () => {
      if (this.#videos.get(mid) !== video) return;
      const receiver = this.#receivers.get(mid);
      const source = receiver && newestSource(receiver)?.source;
      if (source !== undefined && this.#shown.get(mid) !== source) {
        this.#shown.set(mid, source);
        this.#events.shown(mid, source);
      }
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  }
}

/**
 * One secured path of sound and picture: a peer connection that offers everything once, and again only for more slots.
 *
 * Why once: who comes, goes, mutes or adds a camera never causes an offer (DESIGN 4.1). Own capture is `replaceTrack`
 * on lines that were offered empty; others appear in receive slots. When a path fails, a new transport takes its
 * place. Only a gallery that is opened for more people than there are slots offers again: the lines that there are stay
 * as they were, so that what comes in them goes on.
 *
 *   publisher.js -> senders -> RTCPeerConnection -> slots -> receiver.js
 */

import { layersOf } from './layers.js';

/** @import { PublicationKind, SendLine } from '../protocol/messages.js' */

export const AUDIO_SLOTS = 3;
export const VIDEO_SLOTS = 9;
export const VIDEO_SLOTS_ON_PHONES = 4;
/**
 * One layer, since text that is scaled down is no text. It may take what a still page needs to be sharp within a second, and a
 * slow path less: then it moves less often (`maintain-resolution`). Others' cameras wait for it, and so does one's own.
 *
 * @type {RTCRtpEncodingParameters}
 */
const SCREEN = { maxBitrate: 1_500_000, maxFramerate: 15, priority: 'high' };
/** What capture asks for; what it really gives is known when a track is put in. */
const USUAL_HEIGHT = 720;
/** ICE often recovers by itself; past this the path counts as failed. */
const DISCONNECTED_MAX_MS = 8_000;

/** @type {Record<string, RegExp>} Of codecs with many forms: constrained baseline, and the main profiles. */
const FORMS = {
  'video/h264': /packetization-mode=1.*profile-level-id=42e0/i,
  'video/vp9': /profile-id=0/,
  'video/av1': /profile=0/,
};

/** @typedef {{ mid: string, kind: 'audio' | 'video', receiver: RTCRtpReceiver }} ReceiveSlot */
/** @typedef {'connecting' | 'connected' | 'interrupted' | 'failed'} TransportState */

/** Offers that the browser would like and we do not make; tests read that it stays a count. */
export const negotiations = { wanted: 0 };

/**
 * The codecs that every participant can be sent: fewer lines in the offer, and a join that is some 40 ms faster.
 * `red` is the same sound with what was said just before in each packet, for networks that lose some; the server's
 * answer puts it first. VP8 is what pages send; the others are read for encoders outside of browsers, each in the one
 * form that the server forwards.
 *
 * @param {'audio' | 'video'} kind
 */
function codecs(kind) {
  const wanted = kind === 'audio' ? ['audio/opus', 'audio/red'] : ['video/vp8', 'video/h264', 'video/vp9', 'video/av1', 'video/rtx'];
  return (RTCRtpReceiver.getCapabilities(kind)?.codecs ?? []).filter(({ mimeType, sdpFmtpLine = '' }) => {
    const name = mimeType.toLowerCase();
    return wanted.includes(name) && (FORMS[name]?.test(sdpFmtpLine) ?? true);
  });
}

export class Transport {
  /** @type {RTCPeerConnection} */ pc;
  /** @type {Record<PublicationKind, RTCRtpSender>} */ senders;
  /** @type {Record<PublicationKind, RTCRtpTransceiver>} */ #sending;
  /** @type {RTCRtpTransceiver[]} */ #receiving = [];
  /** @type {Promise<RTCSessionDescriptionInit>} */ #offer;
  /** @type {(state: TransportState) => void} */ #report;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #patience;
  #layers = layersOf(USUAL_HEIGHT);
  #answered = false;
  #growing = false;
  /** Its path stood. */
  #stood = false;
  /**
   * Whether it is we who begin the handshake. Usually the server does: its first message comes with the answer to our check,
   * so that we are connected two round trips sooner. Where nothing came of that, the next transport begins itself.
   *
   * @type {boolean}
   */
  #begins;

  /**
   * @param {number} videoSlots
   * @param {(state: TransportState) => void} report
   * @param {Transport | null} [previous] The one whose place it takes.
   */
  constructor(videoSlots, report, previous = null) {
    this.#report = report;
    this.#begins = previous !== null && !previous.#stood && !previous.#begins;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.onnegotiationneeded = () => {
      // The first one is the offer that is being made anyway.
      if (this.pc.remoteDescription && !this.#growing) negotiations.wanted += 1;
    };
    this.pc.onconnectionstatechange = () => this.#stateChanged();
    const microphone = this.pc.addTransceiver('audio', { direction: 'sendonly' });
    const camera = this.pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: layersOf(USUAL_HEIGHT) });
    const screen = this.pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: [SCREEN] });
    const screenAudio = this.pc.addTransceiver('audio', { direction: 'sendonly' });
    this.#sending = { microphone, camera, screen, screenAudio };
    this.senders = { microphone: microphone.sender, camera: camera.sender, screen: screen.sender, screenAudio: screenAudio.sender };
    for (let n = 0; n < AUDIO_SLOTS; n += 1) this.#receiving.push(this.pc.addTransceiver('audio', { direction: 'recvonly' }));
    trim('audio', [microphone, screenAudio, ...this.#receiving]);
    trim('video', [camera, screen]);
    this.#addVideoSlots(videoSlots);
    this.#offer = this.pc.createOffer();
    // It is awaited in `offer`; a transport closed before that must not leave an unhandled rejection.
    this.#offer.catch(() => {});
  }

  /**
   * The offer, ready to send. The server is ICE-lite and needs no candidates of ours, so nothing is waited for.
   *
   * @param {RTCIceServer[]} iceServers
   * @returns {Promise<string>}
   */
  async offer(iceServers) {
    const description = await this.#offer;
    if (iceServers.length > 0) this.pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers });
    await this.pc.setLocalDescription(description);
    const sdp = description.sdp ?? '';
    return this.#begins ? sdp : sdp.replaceAll('a=setup:actpass', 'a=setup:passive');
  }

  /** What each send line carries; known once `offer` has resolved. @returns {SendLine[]} */
  get lines() {
    const kinds = /** @type {PublicationKind[]} */ (Object.keys(this.#sending));
    return kinds.flatMap((kind) => {
      const { mid } = this.#sending[kind];
      return mid === null ? [] : [{ mid, kind }];
    });
  }

  /** @param {number} total */
  #addVideoSlots(total) {
    const present = this.#receiving.length - AUDIO_SLOTS;
    const added = Array.from({ length: Math.max(0, total - present) }, () => this.pc.addTransceiver('video', { direction: 'recvonly' }));
    trim('video', added);
    this.#receiving.push(...added);
  }

  /**
   * A further offer on the same connection, with as many video slots in all.
   *
   * @param {number} total
   * @returns {Promise<string>}
   */
  async offerMore(total) {
    this.#growing = true;
    this.#addVideoSlots(total);
    const description = await this.pc.createOffer();
    await this.pc.setLocalDescription(description);
    return description.sdp ?? '';
  }

  /** The further offer came to something, or to nothing. @param {string | null} sdp */
  async answerMore(sdp) {
    if (sdp === null) await this.pc.setLocalDescription({ type: 'rollback' }).catch(() => {});
    else await this.pc.setRemoteDescription({ type: 'answer', sdp });
    this.#growing = false;
  }

  /** @returns {ReceiveSlot[]} Known once `offer` has resolved. */
  get slots() {
    return this.#receiving.flatMap(({ mid, receiver }) =>
      mid === null ? [] : [{ mid, kind: receiver.track.kind === 'audio' ? 'audio' : 'video', receiver }],
    );
  }

  /** @param {string} sdp */
  async answer(sdp) {
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    this.#answered = true;
    await Promise.all([this.#setCamera(), this.#setScreen()]);
  }

  /**
   * Sends those layers of the camera that its capture has lines for and somebody wants.
   *
   * @param {number} height
   * @param {number | null} highest
   */
  async setLayers(height, highest) {
    this.#layers = layersOf(height, highest);
    if (this.#answered) await this.#setCamera();
  }

  async #setCamera() {
    const parameters = this.senders.camera.getParameters();
    // Not in every browser's types or implementation; who does not know it ignores it.
    Object.assign(parameters, { degradationPreference: 'balanced' });
    for (const encoding of parameters.encodings) {
      const layer = this.#layers.find(({ rid }) => rid === encoding.rid);
      // The server may have agreed on fewer layers than were offered.
      if (layer) Object.assign(encoding, layer);
    }
    await this.senders.camera.setParameters(parameters).catch(() => {});
  }

  async #setScreen() {
    const parameters = this.senders.screen.getParameters();
    Object.assign(parameters, { degradationPreference: 'maintain-resolution' });
    await this.senders.screen.setParameters(parameters).catch(() => {});
  }

  close() {
    clearTimeout(this.#patience);
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  #stateChanged() {
    clearTimeout(this.#patience);
    switch (this.pc.connectionState) {
      case 'connected':
        this.#stood = true;
        this.#report('connected');
        break;
      case 'disconnected':
        this.#report('interrupted');
        this.#patience = setTimeout(() => this.#report('failed'), DISCONNECTED_MAX_MS);
        break;
      case 'failed':
        this.#report('failed');
        break;
      default:
        break;
    }
  }
}

/** @param {'audio' | 'video'} kind @param {RTCRtpTransceiver[]} transceivers */
function trim(kind, transceivers) {
  const wanted = codecs(kind);
  if (wanted.length === 0) return;
  for (const transceiver of transceivers) {
    try {
      transceiver.setCodecPreferences(wanted);
    } catch {
      // A browser that cannot trim offers everything; the answer takes what it can.
    }
  }
}

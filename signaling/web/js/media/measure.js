/**
 * What this browser itself measures of the call: its own side of the path, what its encoder makes of it, and what is heard and seen.
 *
 * Why beside the server's view: only the browser knows what its uplink is believed to carry, what holds its encoder back, and how
 * much of the sound it had to make up. Counters are read as differences; what a browser does not tell is null.
 *
 *   RTCPeerConnection.getStats() -> Reading -> measured(reading, before) -> state/health.js
 */

/**
 * @typedef {object} Reading Counters, as they stand.
 * @property {number} at Milliseconds.
 * @property {number} sentBytes
 * @property {number} receivedBytes
 * @property {number} soundSamples
 * @property {number} madeUpSamples Made up where a voice was missing; silence does not count.
 * @property {Omit<Measured, 'sending' | 'receiving' | 'madeUp'>} now
 */
/**
 * @typedef {object} Measured
 * @property {number | null} roundTrip Milliseconds, by the path's own checks.
 * @property {number | null} carries Bits a second that the uplink is believed to carry.
 * @property {number | null} sending Bits a second.
 * @property {number | null} receiving Bits a second.
 * @property {number | null} madeUp The share of the sound that was missing and had to be made up, 0..1.
 * @property {'none' | 'network' | 'device' | null} heldBack What keeps the own picture from being better; null: none is sent.
 * @property {{ width: number, height: number, frames: number } | null} picture The largest that is sent of the own camera.
 * @property {ReadonlyMap<string, { width: number, height: number, frames: number }>} pictures By mid: what is shown.
 */

/** @type {Record<string, Measured['heldBack']>} */
const HELD_BACK = { none: 'none', bandwidth: 'network', cpu: 'device', other: 'none' };

/**
 * @param {Iterable<any>} stats
 * @returns {Reading}
 */
export function readingOf(stats) {
  /** @type {Reading} */
  const reading = {
    at: 0,
    sentBytes: 0,
    receivedBytes: 0,
    soundSamples: 0,
    madeUpSamples: 0,
    now: { roundTrip: null, carries: null, heldBack: null, picture: null, pictures: new Map() },
  };
  /** @type {Map<string, { width: number, height: number, frames: number }>} */
  const pictures = new Map();
  for (const one of stats) {
    if (one.type === 'candidate-pair' && one.nominated) {
      reading.at = one.timestamp;
      reading.sentBytes = one.bytesSent ?? 0;
      reading.receivedBytes = one.bytesReceived ?? 0;
      reading.now.roundTrip = one.currentRoundTripTime === undefined ? null : one.currentRoundTripTime * 1_000;
      reading.now.carries = one.availableOutgoingBitrate ?? null;
    } else if (one.type === 'outbound-rtp' && one.kind === 'video') {
      noteSent(reading.now, one);
    } else if (one.type === 'inbound-rtp' && one.kind === 'audio') {
      reading.soundSamples += one.totalSamplesReceived ?? 0;
      reading.madeUpSamples += Math.max(0, (one.concealedSamples ?? 0) - (one.silentConcealedSamples ?? 0));
    } else if (one.type === 'inbound-rtp' && one.kind === 'video' && one.mid !== undefined && (one.framesPerSecond ?? 0) > 0) {
      pictures.set(one.mid, sizeOf(one));
    }
  }
  reading.now.pictures = pictures;
  return reading;
}

/** @param {Reading['now']} now @param {any} sent One layer of the own camera. */
function noteSent(now, sent) {
  if (sent.active === false || (sent.framesPerSecond ?? 0) === 0) return;
  // The browser says it once for all layers, and repeats it for each.
  now.heldBack = HELD_BACK[sent.qualityLimitationReason] ?? 'none';
  if ((sent.frameHeight ?? 0) > (now.picture?.height ?? 0)) now.picture = sizeOf(sent);
}

/** @param {any} one */
const sizeOf = (one) => ({ width: one.frameWidth ?? 0, height: one.frameHeight ?? 0, frames: Math.round(one.framesPerSecond ?? 0) });

/**
 * @param {Reading} reading
 * @param {Reading | null} before
 * @returns {Measured}
 */
export function measured(reading, before) {
  const seconds = before === null ? 0 : (reading.at - before.at) / 1_000;
  /** @param {number} now @param {number} then */
  const rate = (now, then) => (seconds > 0 && now >= then ? ((now - then) * 8) / seconds : null);
  const samples = before === null ? 0 : reading.soundSamples - before.soundSamples;
  return {
    ...reading.now,
    sending: before === null ? null : rate(reading.sentBytes, before.sentBytes),
    receiving: before === null ? null : rate(reading.receivedBytes, before.receivedBytes),
    madeUp: before === null || samples <= 0 ? null : Math.min(1, Math.max(0, reading.madeUpSamples - before.madeUpSamples) / samples),
  };
}

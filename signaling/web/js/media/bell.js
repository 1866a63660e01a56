/**
 * The bell of a call to one's own number: two soft notes and a pause, again and again.
 *
 * Why made here and not a file: three seconds of sound are twenty lines, and a sound that loops in the browser's audio thread rings on
 * evenly in a page that lies in the background, where timers do not. A browser that was not touched since the page began lets
 * nothing be heard; the notice on the page is there all the same.
 *
 *   strokes() -> one buffer, looped -> gain -> speakers
 */

/** One round of the bell, in seconds. */
const ROUND = 3;
/** When each note is struck, and its pitch in Hz: a fifth, high enough for small speakers. */
const NOTES = [
  { at: 0, pitch: 587.33 },
  { at: 0.28, pitch: 880 },
  { at: 0.9, pitch: 587.33 },
  { at: 1.18, pitch: 880 },
];
/** After so many seconds a note has faded to a third. */
const FADE = 0.22;
/** A note begins within this, so that it does not click. */
const ATTACK = 0.008;

/**
 * One round.
 *
 * @param {number} rate Samples a second.
 * @returns {Float32Array<ArrayBuffer>} From -1 to 1.
 */
export function strokes(rate) {
  const samples = new Float32Array(Math.round(ROUND * rate));
  for (const { at, pitch } of NOTES) {
    const first = Math.round(at * rate);
    for (let n = first; n < samples.length; n += 1) {
      const time = (n - first) / rate;
      samples[n] = (samples[n] ?? 0) + 0.5 * Math.min(1, time / ATTACK) * Math.exp(-time / FADE) * Math.sin(2 * Math.PI * pitch * time);
    }
  }
  return samples;
}

/**
 * @param {number} volume From 0 to 1.
 * @returns {(rings: boolean) => void} Rings from the first `true` to the next `false`.
 */
export function createBell(volume) {
  /** @type {AudioContext | null} */
  let sounding = null;
  return (rings) => {
    if (rings === (sounding !== null)) return;
    if (!rings) {
      void sounding?.close().catch(() => {});
      sounding = null;
      return;
    }
    try {
      sounding = new AudioContext();
    } catch {
      // No sound card: nothing to ring with.
      return;
    }
    const buffer = sounding.createBuffer(1, Math.round(ROUND * sounding.sampleRate), sounding.sampleRate);
    buffer.copyToChannel(strokes(sounding.sampleRate), 0);
    const source = new AudioBufferSourceNode(sounding, { buffer, loop: true });
    source.connect(new GainNode(sounding, { gain: volume })).connect(sounding.destination);
    source.start();
  };
}

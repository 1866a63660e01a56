/**
 * How loud a microphone is: one analyser, read once per animation frame.
 *
 * Why here: a level changes sixty times a second. It goes to one CSS variable and never through the reducer, so
 * speaking costs no layout.
 */

/** Above this (RMS, full scale 1) a microphone counts as speech. */
export const SPEECH_LEVEL = 0.02;

/** @type {AudioContext | null} */
let shared = null;

/** @returns {AudioContext | null} */
function context() {
  try {
    shared ??= new AudioContext();
  } catch {
    return null;
  }
  // Browsers start it only after a gesture; until then the meter rests.
  if (shared.state === 'suspended') void shared.resume().catch(() => {});
  return shared;
}

/** Call from a click, so that the meters may run. */
export const wakeMeters = () => void context();

/**
 * @param {MediaStreamTrack} track
 * @param {(level: number) => void} report From 0 to 1, once per animation frame.
 * @returns {() => void} Ends it.
 */
export function meter(track, report) {
  const audio = context();
  if (audio === null) return () => {};
  const source = audio.createMediaStreamSource(new MediaStream([track]));
  const analyser = audio.createAnalyser();
  analyser.fftSize = 512;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let frame = requestAnimationFrame(function read() {
    analyser.getFloatTimeDomainData(samples);
    let power = 0;
    for (const sample of samples) power += sample * sample;
    report(track.enabled ? Math.sqrt(power / samples.length) : 0);
    frame = requestAnimationFrame(read);
  });
  return () => {
    cancelAnimationFrame(frame);
    source.disconnect();
  };
}

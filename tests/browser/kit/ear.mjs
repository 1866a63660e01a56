/**
 * How loud a tone is in a page's sound, and when it begins: of what its microphone sends, and of what it receives.
 */

/**
 * Listens in the page for a time.
 *
 * @param {{page: import('playwright-core').Page}} viewer
 * @param {{ from: 'microphone' | 'others', tone: number, ms: number }} wish
 * @returns {Promise<{at: number, level: number}[]>} the amplitude of the tone over 10 ms each, with the time of the window's end
 */
export function listen({ page }, wish) {
  return page.evaluate(async ({ from, tone, ms }) => {
    const { pc } = window.plenum;
    const ends = from === 'microphone' ? pc.getSenders() : pc.getReceivers();
    const tracks = ends.map(({ track }) => track).filter((track) => track?.kind === 'audio');
    const audio = new AudioContext({ sampleRate: 48_000 });
    const analyser = audio.createAnalyser();
    analyser.fftSize = 512;
    const source = audio.createMediaStreamSource(new MediaStream(tracks.slice(0, 1)));
    source.connect(analyser);
    for (const track of tracks.slice(1)) audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const factor = 2 * Math.cos((2 * Math.PI * tone) / audio.sampleRate);
    const levels = [];
    const until = performance.now() + ms;
    await new Promise((done) => {
      const timer = setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        const at = performance.timeOrigin + performance.now();
        let [one, two] = [0, 0];
        for (const sample of samples) [one, two] = [sample + factor * one - two, one];
        levels.push({ at, level: (2 * Math.sqrt(Math.max(0, one * one + two * two - factor * one * two))) / samples.length });
        if (performance.now() < until) return;
        clearInterval(timer);
        done();
      }, 4);
    });
    await audio.close();
    return levels;
  }, wish);
}

/**
 * Listens to a tone that has no pauses of its own, from when it is first heard for as long as it takes.
 *
 * @param {{page: import('playwright-core').Page}} viewer
 * @param {number} tone
 * @returns {Promise<() => Promise<{longestGap: number, concealed: number, seconds: number}>>} stops, and tells the longest time in ms in which
 *   the tone was not there, the share of all sound that had to be made up, and how long it was
 */
export async function watchTone({ page }, tone) {
  await page.evaluate(async (frequency) => {
    const audio = new AudioContext({ sampleRate: 48_000 });
    const analyser = audio.createAnalyser();
    analyser.fftSize = 512;
    for (const { track } of window.plenum.pc.getReceivers()) {
      if (track?.kind === 'audio') audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    }
    const samples = new Float32Array(analyser.fftSize);
    const factor = 2 * Math.cos((2 * Math.PI * frequency) / audio.sampleRate);
    // Quiet is what is below a tenth of what the tone has been at its loudest.
    const seen = { loudest: 0, since: null, longestGap: 0, began: 0 };
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      let [one, two] = [0, 0];
      for (const sample of samples) [one, two] = [sample + factor * one - two, one];
      const level = Math.sqrt(Math.max(0, one * one + two * two - factor * one * two));
      const now = performance.now();
      seen.loudest = Math.max(seen.loudest, level);
      if (level > seen.loudest / 10) seen.since = now;
      else if (seen.since !== null) seen.longestGap = Math.max(seen.longestGap, now - seen.since);
    };
    const timer = setInterval(look, 4);
    while (seen.since === null) await new Promise((done) => setTimeout(done, 10));
    seen.began = performance.now();
    const begun = await window.__kit.inbound('audio');
    window.__toneWatch = async () => {
      clearInterval(timer);
      look();
      await audio.close();
      const ended = await window.__kit.inbound('audio');
      const since = (key) => ended[key] - begun[key];
      const concealed = (since('concealedSamples') - since('silentConcealedSamples')) / since('totalSamplesReceived');
      return { longestGap: seen.longestGap, concealed, seconds: (performance.now() - seen.began) / 1_000 };
    };
  }, tone);
  return () => page.evaluate(() => window.__toneWatch());
}

/** When the level comes up through half of its usual loudness, after so much quiet. @returns {number[]} times of the crossings */
export function beginnings(levels, quietMs = 120) {
  const loud = usual(levels);
  const found = [];
  let quietSince = null;
  for (const { at, level } of levels) {
    if (level < loud / 10) quietSince ??= at;
    else if (level > loud / 2) {
      if (quietSince !== null && at - quietSince > quietMs) found.push(at);
      quietSince = null;
    }
  }
  return found;
}

/** The loudness that all but the loudest twentieth stay below. */
function usual(levels) {
  const sorted = levels.map(({ level }) => level).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * 0.95)];
}

/** Milliseconds that the page's buffers held what it received, over the time between two of these. */
export const buffered = ({ page }) => page.evaluate(async () => {
  let [delay, emitted] = [0, 0];
  for (const line of (await window.plenum.pc.getStats()).values()) {
    if (line.type !== 'inbound-rtp' || line.kind !== 'audio') continue;
    delay += line.jitterBufferDelay;
    emitted += line.jitterBufferEmittedCount;
  }
  return { delay, emitted };
});

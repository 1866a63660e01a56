/**
 * How loud a tone is in a page's sound, and when it begins: of what its microphone sends, in the page and in its packets, and of what it receives.
 */
import assert from 'node:assert/strict';
import { now, report } from './wait.mjs';

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

/**
 * Hears a page's microphone on its way: when each packet of it came by a proxy, and how loud it says that it is (RFC 6464), which nobody encrypts.
 *
 * @param {{page: import('playwright-core').Page}} viewer
 * @returns {Promise<{sees: (direction: 'up' | 'down', packet: Buffer) => void, levels: {at: number, level: number}[]}>} `sees` of the proxy
 */
export async function hearPackets({ page }) {
  const { ssrc, id } = await page.evaluate(async () => {
    const { pc } = window.plenum;
    const microphone = pc.getSenders().find(({ track }) => track?.kind === 'audio');
    const own = [...(await microphone.getStats()).values()].find(({ type }) => type === 'outbound-rtp');
    const [, number] = /a=extmap:(\d+)\S* urn:ietf:params:rtp-hdrext:ssrc-audio-level/.exec(pc.localDescription.sdp);
    return { ssrc: own.ssrc, id: Number(number) };
  });
  const levels = [];
  const sees = (direction, packet) => {
    if (direction !== 'up' || packet.readUInt32BE(8) !== ssrc) return;
    const level = extension(packet, id);
    if (level) levels.push({ at: now(), level: 10 ** (-(level[0] & 0x7f) / 20) });
  };
  return { sees, levels };
}

/** One header extension of one byte's head (RFC 8285 §4.2). @param {Buffer} packet @param {number} wanted @returns {Buffer | null} */
function extension(packet, wanted) {
  let at = 12 + 4 * (packet[0] & 0x0f);
  if ((packet[0] & 0x10) === 0 || packet.readUInt16BE(at) !== 0xbede) return null;
  const end = at + 4 + 4 * packet.readUInt16BE(at + 2);
  for (at += 4; at < end;) {
    const [id, length] = [packet[at] >> 4, (packet[at] & 0x0f) + 1];
    if (packet[at] === 0) {
      at += 1;
      continue;
    }
    if (id === wanted) return packet.subarray(at + 1, at + 1 + length);
    at += 1 + length;
  }
  return null;
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

/**
 * How much later what began on one side began on the other, printed word by word, the fastest first: that the machine of a test held up
 * another one is not the server's.
 *
 * @param {import('node:test').TestContext} t @param {string} way @param {number[]} here @param {number[]} there times of the same clock
 */
export function judgeDelays(t, way, here, there) {
  const words = here.flatMap((began) => there.filter((at) => at > began && at < began + 700).slice(0, 1).map((at) => at - began));
  report(t, `${way}, word by word`, words.map(Math.round).join(', '));
  assert.ok(words.length >= 4, `${words.length} words of ${here.length} were heard`);
  return words.sort((one, other) => one - other);
}

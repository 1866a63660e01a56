/**
 * Sound and picture of the person who is shown belong together, before and after every switch of a slot, on a path that
 * loses.
 *
 * Two people mark each second: a picture with a certain counter, and a short tone that begins with it. Whoever watches
 * them through one slot of each kind notes when it sees such a picture and when it hears such a tone begin. What lies
 * between is the skew, the browser's two jitter buffers included: it does not sync the slots, since their msids differ.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { full, seed } from './kit/env.mjs';
import { FPS } from './kit/paint.mjs';
import { painted } from './kit/painted.mjs';
import { report, until } from './kit/wait.mjs';
import { openWatching } from './kit/watching.mjs';

const TURNS = full ? 40 : 6;
const MARKS = 4;
const LOSS = 0.02;
/** In ms, either way. */
const SKEW_MAX = 125;

let meeting;

before(async () => {
  const marked = (person) => ({ person, noDevices: true, script: painted(), media: { audio: 'painted', video: 'painted', person } });
  meeting = await openWatching('Lips', [marked(0), marked(1)]);
  await meeting.page.evaluate(`(${listenInPage.toString()})()`);
}, { timeout: 90_000 });

after(() => meeting?.close(), { timeout: 30_000 });

/* c8 ignore start: runs in the page */
/** Notes when a tone begins after at least 300 ms of silence. */
function listenInPage() {
  const SILENCE_MS = 300;
  const [{ track }] = window.__kit.receivers(window.stranger.pc, 'audio');
  window.onsets = [];
  let loudAt = 0;
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  const listen = async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const at = performance.now();
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      value.close();
      if (!samples.some((sample) => Math.abs(sample) > 0.05)) continue;
      if (at - loudAt > SILENCE_MS) window.onsets.push(at);
      loudAt = at;
    }
  };
  void listen();
}
/* c8 ignore stop */

/** The skew of each mark that was seen and heard since a moment: positive when the picture came later. */
function skews({ frames, onsets }, person, since) {
  const seen = frames.filter((frame) => frame.at > since && frame.person === person && frame.counter % FPS === 0);
  const heard = onsets.filter((at) => at > since);
  return seen.flatMap(({ at }) => {
    const [nearest] = heard.map((onset) => at - onset).sort((a, b) => Math.abs(a) - Math.abs(b));
    return nearest !== undefined && Math.abs(nearest) < 400 ? [nearest] : [];
  });
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

test('picture and sound of the person who is shown stay together over switches', { timeout: full ? 400_000 : 120_000 }, async (t) => {
  const { people, proxy } = meeting;
  proxy.impair({ down: { loss: LOSS, delayMs: 20 } });
  const turns = [];
  for (let turn = 0; turn < TURNS; turn += 1) {
    const speaker = people[turn % 2];
    for (const { client, person } of people) {
      await client.page.evaluate((on) => window.stranger.painted.mark(on), person === speaker.person);
    }
    const since = await meeting.now();
    await meeting.wish(speaker);
    const found = await until(`${MARKS} marks of person ${speaker.person}`, async () => {
      const noted = await meeting.page.evaluate(() => ({ frames: window.stranger.frames, onsets: window.onsets }));
      const all = skews(noted, speaker.person, since);
      if (all.length >= MARKS) return all;
      throw new Error(`skews ${all}; ${noted.frames.length} pictures, ${noted.onsets.length} tones`);
    }, { timeout: 15_000 });
    turns.push(median(found));
  }
  proxy.impair({});
  report(t, 'seed', seed, '');
  report(t, 'picture after sound in each turn', turns.map(Math.round).join(' '));
  report(t, 'largest skew', Math.max(...turns.map(Math.abs)));
  for (const skew of turns) assert.ok(Math.abs(skew) <= SKEW_MAX, `within ${SKEW_MAX} ms: ${turns.map(Math.round)}`);
});

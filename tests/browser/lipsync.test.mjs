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
import { openBrowser } from './kit/browser.mjs';
import { full, seed } from './kit/env.mjs';
import { createMeeting, openOrganiser } from './kit/meeting.mjs';
import { FPS } from './kit/paint.mjs';
import { painted } from './kit/painted.mjs';
import { startProxy } from './kit/proxy.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { report, until } from './kit/wait.mjs';

const TURNS = full ? 40 : 6;
const MARKS = 4;
const LOSS = 0.02;
/** In ms, either way. */
const SKEW_MAX = 125;

let server;
let proxy;
let organiser;
let screen;
let watcher;
const people = [];

before(async () => {
  server = await startServer();
  proxy = await startProxy({ udpTarget: server.port, seed });
  organiser = await openOrganiser(server, {});
  const meeting = await createMeeting(organiser, 'Lips');
  for (const person of [0, 1]) {
    const browser = await openBrowser({});
    await browser.context.addInitScript({ content: painted() });
    const client = await openStranger(browser.page, server.url);
    const { token, participantId } = (await client.join(meeting.joinWebUrl, `Person ${person}`)).body;
    await client.connect(token);
    await client.offer({ audio: 'painted', video: 'painted', person });
    people.push({ browser, client, person, participantId });
  }
  screen = await openBrowser({});
  watcher = await openStranger(screen.page, server.url);
  await watcher.connect((await watcher.join(meeting.joinWebUrl, 'Watcher')).body.token);
  await watcher.offer({ audioSlots: 1, videoSlots: 1, mediaPort: proxy.udpPort });
  await until('the watcher to be connected', async () => (await watcher.state()).media === 'connected');
  await screen.page.evaluate(`(${listenInPage.toString()})()`);
}, { timeout: 90_000 });

after(async () => {
  await Promise.all([organiser, screen, ...people.map(({ browser }) => browser)].map((one) => one?.close()));
  proxy?.close();
  await server?.stop();
}, { timeout: 30_000 });

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
  proxy.impair({ down: { loss: LOSS, delayMs: 20 } });
  const turns = [];
  for (let turn = 0; turn < TURNS; turn += 1) {
    const speaker = people[turn % 2];
    for (const { client, person } of people) {
      await client.page.evaluate((on) => window.stranger.painted.mark(on), person === speaker.person);
    }
    const since = await screen.page.evaluate(() => performance.now());
    await watcher.send({ type: 'layout', wants: [{ participantId: speaker.participantId, kind: 'camera', priority: 1 }] });
    const found = await until(`${MARKS} marks of person ${speaker.person}`, async () => {
      const noted = await screen.page.evaluate(() => ({ frames: window.stranger.frames, onsets: window.onsets }));
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

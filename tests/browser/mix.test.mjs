/**
 * All voices as one stream: somebody asks for low bandwidth in mid-call, talks and falls silent meanwhile, and goes back; a player with one
 * line for sound hears everybody. Four tones at once are four voices.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openBrowser } from './kit/browser.mjs';
import { shotsDir } from './kit/env.mjs';
import { createMeeting, hears, join, openOrganiser, press, sdpSeen, ticketFor } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';
import { openWhip } from './kit/whip.mjs';

const NAMES = ['Ada', 'Bob', 'Cleo', 'Dan'];
/** Ada's own voice. */
const OWN = 0;
const OTHERS = [1, 2, 3];
/** A switch to a stream that is some tens of milliseconds later costs those; a busy machine more. */
const MADE_UP_MAX = 0.3;

let server;
let people = [];
let ada;
let meeting;

before(async () => {
  server = await startServer();
  people = await Promise.all(NAMES.map((_, person) => (person === OWN ? openOrganiser(server, { person, words: true }) : openBrowser({ person, words: true }))));
  [ada] = people;
  meeting = await createMeeting(ada, 'Mixed');
  for (const [person, name] of NAMES.entries()) await join(people[person], meeting.joinWebUrl, name);
  await Promise.all(OTHERS.map((person) => hears(ada, person)));
}, { timeout: 120_000 });

after(async () => {
  for (const one of people) assert.deepEqual(one.complaints, []);
  await Promise.all(people.map((one) => one.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Who is heard in each line of sound that has any. */
const byLine = ({ page }) => page.evaluate(() => window.__kit.receivers(window.plenum.pc, 'audio').map(({ track }) => window.__kit.tonesIn(track)).filter((heard) => heard.length > 0));
const isOneStream = (lines) => lines.length === 1 && OTHERS.every((person) => lines[0].includes(person));
const soundSlots = ({ page }) => page.evaluate(() => window.plenum.state().slots.filter(({ kind }) => kind === 'audio').map(({ participantId, publicationId }) => ({ participantId, publicationId })));
/** The publication of the mix, once it fills the first slot and nothing the others. */
const mixOf = async (viewer) => {
  const [first, ...rest] = await soundSlots(viewer);
  return first.participantId === null && rest.every(({ publicationId }) => publicationId === null) ? first.publicationId : null;
};
/** Seconds of sound that a browser had to make up so far in the first line, silence not counted, and packets that never came. */
const madeUp = ({ page }) => page.evaluate(async () => {
  const first = window.plenum.state().slots.find(({ kind }) => kind === 'audio').mid;
  const lines = [...(await window.plenum.pc.getStats()).values()].filter(({ type, kind, mid }) => type === 'inbound-rtp' && kind === 'audio' && mid === first);
  const sum = (read) => lines.reduce((all, line) => all + read(line), 0);
  return { seconds: sum((line) => (line.concealedSamples - line.silentConcealedSamples) / 48_000), lost: sum((line) => line.packetsLost) };
});
const panelText = ({ page }) => page.locator('#panel').innerText();
const lowBandwidth = async (viewer, on) => {
  await press(viewer, 'View');
  await viewer.page.getByRole('switch', { name: /^Low bandwidth/ }).setChecked(on);
  await viewer.page.keyboard.press('Escape');
};

/** Looks for so long that nobody hears their own voice. */
async function neverOwn(viewer, ms) {
  for (const end = performance.now() + ms; performance.now() < end; await pause(50)) {
    assert.ok(!(await byLine(viewer)).flat().includes(OWN), 'nobody hears themselves');
  }
}

async function shot({ page }, name) {
  mkdirSync(shotsDir, { recursive: true });
  await page.screenshot({ path: path(shotsDir, `${name}.png`) });
}

test('with low bandwidth everybody else is heard in one stream, and nothing is offered again', { timeout: 60_000 }, async (t) => {
  await until('a line each before', async () => (await byLine(ada)).length === OTHERS.length);
  const before = { sdp: await sdpSeen(ada), sound: await madeUp(ada) };
  const asked = performance.now();
  await lowBandwidth(ada, true);
  await until('a mix in the first slot', () => mixOf(ada));
  await until('three voices in one stream', async () => isOneStream(await byLine(ada)));
  report(t, 'from the switch to one stream', performance.now() - asked, 'ms');
  await neverOwn(ada, 3_000);
  const after = await madeUp(ada);
  report(t, 'made up over the switch and three seconds', (after.seconds - before.sound.seconds) * 1_000, 'ms');
  assert.equal(after.lost, before.sound.lost, 'no packet seems to be missing');
  assert.ok(after.seconds - before.sound.seconds < MADE_UP_MAX, `${after.seconds - before.sound.seconds} s`);
  assert.deepEqual(await sdpSeen(ada), before.sdp);
  await Promise.all(people.slice(1).map((one) => hears(one, OWN)));
  // The panel of call health says so, to who hears it and to who is heard in it.
  await press(ada, 'Call health');
  await until('the mix in call health', async () => /Voices\s+All as one stream, at most \d+ ms late/.test(await panelText(ada)));
  await press(people[1], 'Call health');
  await until('a voice in the mix', async () => /Your voice in the mix\s+[\d.]+ % made up, [\d.]+ % stretched/.test(await panelText(people[1])));
  assert.match(await panelText(people[1]), /Voices\s+A stream for each/);
  await shot(ada, 'mix-low-bandwidth');
});

test('who falls silent hears the stream of all, who talks again one of their own, as one sound', { timeout: 60_000 }, async (t) => {
  const before = await madeUp(ada);
  await press(ada, 'Mute');
  // Between words, too, one may be back in the stream of all for a moment: it is where who is silent stays.
  const shared = await until('the stream of all', async () => {
    const now = await mixOf(ada);
    await pause(1_500);
    return now === (await mixOf(ada)) && now;
  });
  await until('three voices in it', async () => isOneStream(await byLine(ada)));
  await press(ada, 'Unmute');
  await until('an own stream again', async () => ![null, shared].includes(await mixOf(ada)));
  await hears(people[1], OWN);
  await neverOwn(ada, 2_000);
  const after = await madeUp(ada);
  report(t, 'made up over two changes', (after.seconds - before.seconds) * 1_000, 'ms');
  assert.equal(after.lost, before.lost);
  assert.ok(after.seconds - before.seconds < MADE_UP_MAX, `${after.seconds - before.seconds} s`);
});

test('back to a line for each voice', { timeout: 60_000 }, async () => {
  const before = await sdpSeen(ada);
  await lowBandwidth(ada, false);
  await until('a line for each', async () => {
    const lines = await byLine(ada);
    return lines.length === OTHERS.length && lines.every((heard) => heard.length === 1);
  });
  assert.ok((await soundSlots(ada)).every(({ participantId }) => participantId !== null));
  assert.deepEqual(await sdpSeen(ada), before);
});

test('a player with one line for sound hears everybody at once', { timeout: 60_000 }, async () => {
  const listener = await openBrowser({});
  people.push(listener);
  const player = await openWhip(listener.page, server.url);
  const ticket = await ticketFor(server, meeting.joinWebUrl, 'Radio');
  const { status, answer } = await player.play(ticket, ['audio']);
  assert.equal(status, 201, answer);
  await until('four voices', () => listener.page.evaluate(() => [0, 1, 2, 3].every((person) => window.__kit.heard(window.pc).includes(person))));
  await until('encodes for all who hear the same', async () => (await counted(server, 'mixer_shared_encodes_total')) > 0);
  // Whoever has no page to read hears that the meeting is recorded from now on.
  const beep = listener.page.evaluate(async () => {
    const audio = new AudioContext({ sampleRate: 48_000 });
    const analyser = audio.createAnalyser();
    analyser.fftSize = 8_192;
    audio.createMediaStreamSource(new MediaStream(window.pc.getReceivers().map(({ track }) => track))).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    const hz = audio.sampleRate / analyser.fftSize;
    for (const end = performance.now() + 10_000; performance.now() < end; await new Promise((done) => setTimeout(done, 30))) {
      analyser.getFloatFrequencyData(bins);
      const [tone, beside] = [1_000, 1_050].map((frequency) => bins[Math.round(frequency / hz)]);
      if (tone > -50 && tone > beside + 20) return true;
    }
    return false;
  });
  await press(ada, 'Record');
  assert.ok(await beep, 'a tone says that it is recorded');
  assert.ok([200, 204].includes(await player.end(ticket.token)));
});

/**
 * Sources are switched *into* slots: the right person each time, no freeze, and no concealed sound because of the switch.
 *
 * One receiver with one video and one audio slot, behind the impairment proxy with 3 % loss towards it. Video is switched by
 * its `layout` wish, between two of VP8 and between VP8 and H.264; audio by who speaks. Chromium's own figures judge: freezeCount, and concealedSamples less
 * silentConcealedSamples. Lost packets conceal sound, too; the proxy counts them, and a control period without switches says
 * how many samples one lost packet costs.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { full, seed } from './kit/env.mjs';
import { TONES } from './kit/media.mjs';
import { LOOP } from './kit/paint.mjs';
import { report, until } from './kit/wait.mjs';
import { openWatching } from './kit/watching.mjs';

const SWITCHES = full ? 200 : 12;
/** From the wish to the picture: of many switches the 95th percentile, of few the median, as one stall of a busy machine is one of twelve. */
const VISIBLE = full ? { part: 0.95, ms: 300 } : { part: 0.5, ms: 450 };
const LOSS = 0.03;
const LIMIT = { timeout: full ? 600_000 : 90_000 };

let meeting;
let proxy;
let people;

before(async () => {
  const member = (person) => ({ person, media: { audio: 'tone', tone: TONES[person], video: 'device' } });
  const encoder = { person: 2, media: { video: 'device', codec: 'video/H264' } };
  meeting = await openWatching('Slots', [member(0), member(1), encoder]);
  ({ proxy, people } = meeting);
}, { timeout: 90_000 });

after(() => meeting?.close(), { timeout: 30_000 });

const inbound = (kind) => meeting.page.evaluate((which) => window.__kit.inbound(which, window.stranger.pc), kind);

/** The codec of what the video slot receives. */
const codecNow = () => meeting.page.evaluate(async () => {
  const stats = await window.stranger.pc.getStats();
  const slot = [...stats.values()].find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  return stats.get(slot.codecId)?.mimeType;
});

/** Frames that the video slot showed since a moment of the page's clock. */
const framesSince = (at) => meeting.page.evaluate((from) => window.stranger.frames.filter((frame) => frame.at > from), at);

async function show(watched) {
  const { person, camera } = watched;
  const asked = await meeting.now();
  await meeting.wish(watched);
  const frames = await until(`six pictures of person ${person}`, async () => {
    const seen = await framesSince(asked);
    const first = seen.findIndex((frame) => frame.person === person);
    return first >= 0 && seen.length >= first + 6 && seen.slice(first);
  }, { timeout: 5_000 });
  for (const frame of frames) {
    assert.ok(frame.person === person || frame.person === null, `after the switch only person ${person}: ${JSON.stringify(frame)}`);
    assert.equal(frame.csrc, camera, 'the CSRC names the publication whose picture this is');
  }
  const counters = frames.flatMap(({ counter }) => counter ?? []);
  for (const [n, counter] of counters.entries()) {
    const step = n === 0 ? 1 : (counter - counters[n - 1] + LOOP) % LOOP;
    // Chromium shows the film's first picture twice when it begins anew.
    assert.ok(step < LOOP / 2, `the film runs on: ${counters}`);
  }
  return { visible: frames[0].at - asked, unreadable: frames.filter((frame) => frame.person === null).length };
}

/**
 * Shows the two in turn, under loss. That takes a packet and the repair of it as well, about once in a thousand: one round in twelve has a freeze for
 * that alone (2 of 24, measured with nothing changed but the moment). One that belongs to switches is there in the next round, too.
 */
async function takeTurns(t, pair) {
  const first = await round(t, pair);
  const { codecs, freezes } = first.freezes === 0 ? first : await round(t, pair);
  assert.equal(freezes, 0, 'no freeze, or none in a second round');
  return codecs;
}

async function round(t, pair) {
  await show(pair[0]);
  proxy.impair({ down: { loss: LOSS } });
  const [before, { down: lostBefore }] = [await inbound('video'), proxy.counters()];
  const visible = [];
  const codecs = new Set();
  let unreadable = 0;
  for (let n = 1; n <= SWITCHES; n += 1) {
    const seen = await show(pair[n % 2]);
    codecs.add(await codecNow());
    visible.push(seen.visible);
    unreadable += seen.unreadable;
  }
  const figures = await inbound('video');
  proxy.impair({});
  const { down } = proxy.counters();
  visible.sort((a, b) => a - b);
  const grown = (key) => (figures[key] ?? 0) - (before[key] ?? 0);
  report(t, 'seed', seed, '');
  const visibleAt = (part) => visible[Math.ceil(visible.length * part) - 1];
  report(t, `${SWITCHES} switches, visible p50`, visibleAt(0.5));
  report(t, 'visible p95', visibleAt(0.95));
  report(t, 'visible worst', visible.at(-1));
  const [lost, passed] = [down.lost - lostBefore.lost, down.passed - lostBefore.passed];
  report(t, 'lost by the proxy', `${lost} of ${lost + passed}`, 'packets');
  report(t, 'freezes, frames decoded, dropped, PLI', ['freezeCount', 'framesDecoded', 'framesDropped', 'pliCount'].map(grown).join(', '), '');
  assert.ok(lost > 0, 'there was loss');
  assert.ok(visibleAt(VISIBLE.part) <= VISIBLE.ms, `visible after ${visibleAt(VISIBLE.part)} ms, the bar is ${VISIBLE.ms}`);
  assert.ok(unreadable <= 1, `${unreadable} pictures could not be read`);
  return { codecs: [...codecs].sort(), freezes: grown('freezeCount') };
}

test('video: the right person after every switch, without a freeze', LIMIT, async (t) => {
  assert.deepEqual(await takeTurns(t, [people[0], people[1]]), ['video/VP8']);
});

test('video: so it is when every switch changes the codec, too', LIMIT, async (t) => {
  assert.deepEqual(await takeTurns(t, [people[0], people[2]]), ['video/H264', 'video/VP8']);
});

const concealed = ({ concealedSamples, silentConcealedSamples }) => concealedSamples - silentConcealedSamples;
const lostNow = () => Object.values(proxy.counters().down.lostByType).reduce((sum, lost) => sum + lost, 0);

/** One speaks, the other falls silent. */
async function speak(speaker, silent) {
  await Promise.all([
    silent.client.page.evaluate(() => window.stranger.speak(false)),
    speaker.client.page.evaluate(() => window.stranger.speak(true)),
  ]);
  const asked = performance.now();
  await until(`the voice of person ${speaker.person}`, () => meeting.page.evaluate(([person, publication]) => {
    const track = window.__kit.receivers(window.stranger.pc, 'audio')[0].track;
    const heard = window.__kit.tonesIn(track);
    return heard.length === 1 && heard[0] === person && window.stranger.audioCsrc() === publication;
  }, [speaker.person, speaker.microphone]), { timeout: 8_000 });
  return performance.now() - asked;
}

/** Concealment over a stretch of time with or without switches. */
async function listen(act) {
  const [before, lost] = [await inbound('audio'), lostNow()];
  await act();
  const after = await inbound('audio');
  return {
    concealed: concealed(after) - concealed(before),
    events: after.concealmentEvents - before.concealmentEvents,
    samples: after.totalSamplesReceived - before.totalSamplesReceived,
    lost: lostNow() - lost,
  };
}

test('audio: the right voice after every switch, and no concealment that loss does not explain', LIMIT, async (t) => {
  // Nothing but audio flows to the receiver now: every lost packet is a lost 20 ms of sound.
  for (const { client } of people) await client.request({ type: 'mute', kind: 'camera', muted: true });
  await speak(people[0], people[1]);
  const switching = async (times, each = []) => {
    for (let n = 1; n <= SWITCHES; n += 1) {
      const before = concealed(await inbound('audio'));
      times.push(await speak(people[n % 2], people[(n + 1) % 2]));
      each.push(concealed(await inbound('audio')) - before);
    }
  };
  const still = (seconds) => listen(async () => {
    const until_ = (await inbound('audio')).totalSamplesReceived + seconds * 48_000;
    await until('the control period', async () => (await inbound('audio')).totalSamplesReceived >= until_, { timeout: 60_000 });
  });

  const times = [];
  const each = [];
  const clean = { still: await still(6), switched: await listen(() => switching(times, each)) };
  proxy.impair({ down: { loss: LOSS } });
  const lossy = { still: await still(full ? 40 : 15), switched: await listen(() => switching(times)) };
  proxy.impair({});

  times.sort((a, b) => a - b);
  report(t, 'seed', seed, '');
  report(t, `${times.length} switches, voice heard p50`, times[times.length >> 1]);
  report(t, 'voice heard worst', times.at(-1));
  for (const [name, { still: control, switched }] of Object.entries({ clean, lossy })) {
    report(t, `${name}: control`, `${control.concealed} samples in ${control.events} events, ${control.lost} packets lost, of ${control.samples}`, '');
    report(t, `${name}: switching`, `${switched.concealed} samples in ${switched.events} events, ${switched.lost} packets lost, of ${switched.samples}`, '');
  }
  // The broken rules of switching cost 400 samples and more at every switch; a busy machine conceals now and then, at any.
  report(t, 'concealed by each switch, without loss', each.join(' '), 'samples');
  const concealing = each.filter((samples) => samples > 0).length;
  assert.ok(concealing <= SWITCHES / 4, `switching alone conceals nothing: ${concealing} of ${SWITCHES} switches did`);
  const costOfLoss = Math.max(960, lossy.still.concealed / Math.max(1, lossy.still.lost));
  const unexplained = (lossy.switched.concealed - lossy.switched.lost * costOfLoss) / SWITCHES;
  report(t, 'concealed by one switch beyond what loss costs', unexplained, 'samples');
  assert.ok(unexplained < 200, 'nor with loss');
  assert.deepEqual(await meeting.watcher.deviations(), []);
});

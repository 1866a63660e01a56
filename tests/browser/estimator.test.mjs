/**
 * What the server believes of a path against what it carries: a receiver in real Chromium, whose way down is now wide and now
 * narrow, as a random trace has it.
 *
 * Two cameras in three layers each send more than any trace carries, so that the path is always the limit. The proxy knows
 * the capacity and what waits before it; the estimate is what the receiver's page is told every two seconds (`health`).
 * The same is judged as in the simulation of the engine (congestion/tests.rs): of the capacity how much is believed, where
 * too much counts as all, and the queue at the 95th percentile of time.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { full, root } from './kit/env.mjs';
import { createMeeting, openOrganiser, ticketFor } from './kit/meeting.mjs';
import { makeNoise } from './kit/noise.mjs';
import { startProxy } from './kit/proxy.mjs';
import { random } from './kit/random.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { report, until } from './kit/wait.mjs';
import { openWhip } from './kit/whip.mjs';

const TRACE_MS = full ? 120_000 : 45_000;
/** In the full form: receivers at the same time, each with a trace of its own. */
const TOGETHER = 4;
const TRACES = 12;
/** The trace of the quick form: down to a fifth, and up to nearly four times as much. */
const QUICK = 36;
/** How often it is followed at most. */
const QUICK_TURNS = 5;
/** In kbit/s. */
const LEAST = 300;
const MOST = 3_000;
const CAMERAS = 2;
const LAYERS = {
  stream: 'noise',
  encodings: [150_000, 500_000, 1_700_000].map((maxBitrate, at) => ({ rid: 'qhf'[at], scaleResolutionDownBy: 4 / 2 ** at, maxBitrate })),
};
const LINK = { delayMs: 25, queueMs: 250 };
const LOOK_MS = 20;

/**
 * The bars hold in the mean of twelve traces: used 89 %, queue 77 ms, the worst 84 % and 102 ms; with trains on a full path (decision 0011) the mean was
 * 119 to 138 ms. A single trace is not the same twice (the quick one 39 to 115 ms in nine runs, by chance, and 153 once on a busy machine), so that
 * the quick form follows it again until the mean of its runs holds. Each single one has to keep within the rail, too; in the quick form all but one.
 */
const GOOD = full ? { used: 0.85, queue: 100 } : { used: 0.75, queue: 100 };
const RAIL = full ? { used: 0.8, queue: 125 } : { used: 0.75, queue: 150 };
const BEYOND_RAIL_MAX = full ? 0 : 1;

let server;
let meeting;
let encoder;
let screens;
const browsers = [];

before(async () => {
  server = await startServer();
  browsers.push(...await Promise.all([openOrganiser(server), openBrowser({ person: 1 })]));
  meeting = await createMeeting(browsers[0], 'Estimator', { canAnonymousStart: true });
  encoder = await openWhip(browsers[1].page, server.url);
  await makeNoise(encoder.page, 15, { width: 960, height: 540 });
  await encoder.page.evaluate(async () => {
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    window.noise.addTrack(microphone.getAudioTracks()[0]);
  });
  for (let n = 0; n < CAMERAS; n += 1) {
    const { status, answer } = await encoder.publish(await ticketFor(server, meeting.joinWebUrl, `Camera ${n}`), { ...LAYERS, keep: true });
    assert.equal(status, 201, answer);
  }
  screens = await openBrowser({});
  browsers.push(screens);
  await until('cameras that send more than any trace carries', async () => {
    const sent = await sending(500);
    if (sent < MOST) throw new Error(`${sent} kbit/s`);
    return true;
  }, { timeout: 60_000 });
}, { timeout: 120_000 });

after(async () => {
  await Promise.all(browsers.map((one) => one.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** What all cameras together send, in kbit/s, over so many milliseconds. */
const sending = (span) => encoder.page.evaluate(async (ms) => {
  const octets = async () => {
    const reports = await Promise.all(window.__kit.connections.map((pc) => pc.getStats()));
    const all = reports.flatMap((stats) => [...stats.values()]).filter(({ type }) => type === 'outbound-rtp');
    return all.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  };
  const [before, began] = [await octets(), performance.now()];
  await new Promise((done) => { setTimeout(done, ms); });
  return Math.round(((await octets()) - before) * 8 / (performance.now() - began));
}, span);

/** Capacities in kbit/s, ten to twenty seconds each, and when each begins. */
function trace(number) {
  const chance = random(number);
  const steps = [];
  for (let at = 0; at < TRACE_MS; at += 10_000 + 10_000 * chance()) {
    steps.push({ at, rateKbps: Math.round(LEAST * (MOST / LEAST) ** chance()) });
  }
  return steps;
}

/** Traces in turns, those of a turn together: in the full form such that nobody chose, of the commit that is tested. */
function turns() {
  if (!full) return Array(QUICK_TURNS).fill([QUICK]);
  const commit = execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  console.log(`traces of commit ${commit}`);
  const chance = random(Number.parseInt(commit.slice(0, 8), 16));
  const traces = Array.from({ length: TRACES }, () => Math.floor(chance() * 2 ** 32));
  return Array.from({ length: TRACES / TOGETHER }, (_, turn) => traces.slice(turn * TOGETHER, (turn + 1) * TOGETHER));
}

/** A receiver behind a proxy of its own, which is connected; its path is as the trace begins. */
async function receiver(proxy) {
  const page = await screens.context.newPage();
  const client = await openStranger(page, server.url);
  const { roster } = await client.connect((await client.join(meeting.joinWebUrl, 'Receiver')).body.token);
  const cameras = roster.filter(({ displayName }) => displayName.startsWith('Camera'));
  assert.equal(cameras.length, CAMERAS, JSON.stringify(roster));
  const wants = cameras.map(({ id }) => ({ participantId: id, kind: 'camera', priority: 1, width: 1280, height: 720 }));
  await client.send({ type: 'layout', wants });
  await client.offer({ audioSlots: 1, videoSlots: CAMERAS, mediaPort: proxy.udpPort });
  await until('the receiver to be connected', async () => (await client.state()).media === 'connected');
  return {
    /** What it was told of its way down, from the beginning. */
    told: () => page.evaluate(() => window.stranger.messages.filter(({ type }) => type === 'health').map(({ down }) => down)),
    close: () => page.close(),
  };
}

/** A trace, and how it was followed. */
async function follow(number) {
  const steps = trace(number);
  const proxy = await startProxy({ udpTarget: server.port, seed: number });
  const pathAt = (rateKbps) => ({ up: { delayMs: LINK.delayMs }, down: { ...LINK, rateKbps } });
  proxy.impair(pathAt(steps[0].rateKbps));
  const client = await receiver(proxy);
  let capacity = steps[0].rateKbps;
  const queues = [];
  const parts = [];
  const demand = sending(TRACE_MS);
  const began = performance.now();
  const look = setInterval(() => queues.push(proxy.queue('down')), LOOK_MS);
  proxy.plan(steps.map(({ at, rateKbps }) => ({ at, name: `${at}`, ...pathAt(rateKbps) })));
  let heard = (await client.told()).length;
  await until('the end of the trace', async () => {
    const passed = performance.now() - began;
    capacity = steps.findLast(({ at }) => at <= passed).rateKbps;
    const news = (await client.told()).slice(heard);
    heard += news.length;
    for (const down of news) if (down) parts.push({ part: down.target / 1_000 / capacity });
    return passed >= TRACE_MS;
  }, { timeout: TRACE_MS + 5_000 });
  clearInterval(look);
  const { down } = proxy.counters();
  const sent = await demand;
  await client.close();
  proxy.close();
  queues.sort((a, b) => a - b);
  return {
    number,
    steps,
    parts,
    used: mean(parts.map(({ part }) => Math.min(1, part))),
    queue: queues[Math.floor(queues.length * 0.95)],
    waited: down.p95WaitMs,
    down,
    sent,
  };
}

/** Prints how a trace was followed, and sees that this says something. */
function tell(t, { number, steps, parts, used, queue, waited, down, sent }) {
  report(t, `trace ${number}`, steps.map(({ at, rateKbps }) => `${rateKbps} at ${Math.round(at / 1_000)} s`).join(', '), '(kbit/s)');
  report(t, 'of the capacity believed, two seconds each', parts.map(({ part }) => Math.round(part * 100)).join(' '), '%');
  report(t, 'used', (used * 100).toFixed(1), '%');
  report(t, 'queue p95', queue, 'ms of time');
  report(t, 'waited p95', `${waited} ms of datagrams; ${down.overflowed} of ${down.overflowed + down.passed} found no room; cameras send ${sent} kbit/s`, '');
  assert.ok(parts.length >= TRACE_MS / 2_000 - 2, `told ${parts.length} times`);
  assert.ok(sent >= Math.max(...steps.map(({ rateKbps }) => rateKbps)), 'the path was the limit');
}

const holds = ({ used, queue }, bar) => used >= bar.used && queue <= bar.queue;
const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const meanOf = (figures) => ({ used: mean(figures.map(({ used }) => used)), queue: mean(figures.map(({ queue }) => queue)) });
const TURNS = turns();

test('a capacity that changes is followed closely and without a queue', { timeout: TURNS.length * (TRACE_MS + 30_000) }, async (t) => {
  const figures = [];
  for (const traces of TURNS) {
    const followed = await Promise.all(traces.map(follow));
    for (const one of followed) tell(t, one);
    figures.push(...followed);
    if (!full && holds(meanOf(figures), GOOD)) break;
  }
  const all = meanOf(figures);
  const good = figures.filter((one) => holds(one, GOOD)).length;
  report(t, 'good', `${good} of ${figures.length}; used ${(all.used * 100).toFixed(1)} %, queue p95 ${all.queue.toFixed(0)} ms on average`, '');
  const beyond = figures.filter((one) => !holds(one, RAIL)).map(({ number, used, queue }) => `trace ${number}: ${used} used, queue p95 ${queue} ms`);
  assert.ok(beyond.length <= BEYOND_RAIL_MAX, beyond.join('; '));
  assert.ok(holds(all, GOOD), JSON.stringify(all));
});

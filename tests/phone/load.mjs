/**
 * What phones cost the server: SIPp calls the real binary, whose processor time, memory and punctuality are read from outside.
 *
 *     PLENUM_BIN=target/release/plenum node tests/phone/load.mjs legs     200 legs at once: one in ten talks, then all of them
 *     PLENUM_BIN=target/release/plenum node tests/phone/load.mjs calls    2,000 calls at 100 a second, a second each
 *     PLENUM_BIN=target/release/plenum node tests/phone/load.mjs floods   30 s each of INVITE, REGISTER and OPTIONS, 20,000 a second, from a stranger and
 *                                                                         from a trunk, while phones talk and others call; `floods 0`: as many as can be sent
 *
 * Needs SIPp (`apt-get install sip-tester`) and ffmpeg. Everything stays on 127.0.0.1. A figure of processor time is the server's alone; SIPp has
 * the rest of the machine. Ends with 1 when a bar is missed.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startFlood } from '../browser/kit/flood.mjs';
import { counted, series } from '../browser/kit/metrics.mjs';
import { cpu, overflowed, rss } from '../browser/kit/process.mjs';
import { startServer } from '../browser/kit/server.mjs';

const SIP = 15_060;
const CALLERS = 15_070;
/** Legs, and how many of them are in each meeting. */
const LEGS = 200;
const IN_A_MEETING = 10;
/** Calls of a second each. */
const CALLS = 2_000;
/** Transactions are remembered for 32 s (RFC 3261 §17), and memory is given back when nobody has been there for a minute (src/memory.rs). */
const FORGOTTEN_MS = 90_000;
/** How long each phase is measured. */
const WINDOW_MS = 20_000;
/** Who floods: nobody whom we know, and a trunk that may have so many calls. */
const [STRANGER, MAD, MAD_SESSIONS] = ['127.0.0.9', '127.0.0.3', 20];
/** Requests a second, for how long, and the phones that talk meanwhile. */
const FLOOD_RATE = 20_000;
const FLOOD_MS = 30_000;
const TALKERS = 20;

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'phones-'));
const living = new Set();
process.on('exit', () => {
  living.forEach((child) => child.kill('SIGKILL'));
  rmSync(folder, { recursive: true, force: true });
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const missed = [];
const hold = (what, value, bar, unit) => {
  const is = value <= bar;
  if (!is) missed.push(what);
  console.log(`${is ? 'holds ' : 'MISSED'}  ${what}: ${value.toFixed(3)} ${unit} (bar ${bar})`);
};

async function start({ mad = false } = {}) {
  return startServer({
    env: {
      PLENUM__PHONE__UDP: `127.0.0.1:${SIP}`,
      PLENUM__PHONE__CALLS: '500',
      PLENUM__PHONE__TRUNKS__0__HOST: '127.0.0.1',
      PLENUM__PHONE__TRUNKS__0__PORT: String(CALLERS),
      PLENUM__PHONE__TRUNKS__0__SESSIONS: '1000',
      ...(mad && { PLENUM__PHONE__TRUNKS__1__HOST: MAD, PLENUM__PHONE__TRUNKS__1__PORT: '9', PLENUM__PHONE__TRUNKS__1__SESSIONS: String(MAD_SESSIONS) }),
      PLENUM__PHONE__NUMBERS__0__NUMBER: '+49 30 12345',
      PLENUM__LIMITS__API_WRITES_PER_SECOND: '0',
    },
  });
}

/** A meeting that phones may come into by themselves. @returns {Promise<string>} its conference id */
async function meeting(server, token) {
  const response = await fetch(`${server.url}/v1/onlineMeetings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ subject: 'Load', canAnonymousStart: true, lobbyBypassSettings: { scope: 'everyone', isDialInBypassEnabled: true } }),
  });
  return (await response.json()).audioConferencing.conferenceId.replaceAll(' ', '');
}

/** A leg that plays a file: SIPp knows no variable for its name. @returns {string} the scenario */
function leg(sound) {
  const scenario = join(folder, `${sound}.xml`);
  writeFileSync(scenario, readFileSync(join(here, 'leg.xml'), 'utf8').replaceAll('SOUND', join(folder, sound)));
  return scenario;
}

/** SIPp with a scenario; resolves with its exit code. */
function sipp(scenario, port, ...more) {
  const child = spawn('sipp', ['-sf', scenario, `127.0.0.1:${SIP}`, '-i', '127.0.0.1', '-p', String(port), '-nostdin', ...more], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  living.add(child);
  child.once('exit', () => living.delete(child));
  let said = '';
  child.stderr.on('data', (bytes) => (said += bytes));
  return once(child, 'exit').then(([code]) => {
    if (code !== 0) console.log(`SIPp ended with ${code}: ${said.trim().split('\n').slice(-3).join('; ')}`);
    return code;
  });
}

/** One line of digits for each call. @returns {string} the file */
function calls(name, ids) {
  writeFileSync(join(folder, name), ['SEQUENTIAL', ...ids.map((id) => [...id].join(';'))].join('\n') + '\n');
  return join(folder, name);
}

/** What of the ticks came later than `seconds`, in thousandths, between two pages of metrics. */
function later(before, after, seconds) {
  const upTo = (page, le) => series(page, 'sip_tick_late_seconds_bucket').find(({ labels }) => labels.le === le)?.value ?? 0;
  const all = upTo(after, '+Inf') - upTo(before, '+Inf');
  return (1000 * (all - (upTo(after, seconds) - upTo(before, seconds)))) / all;
}

async function legs(what, silent) {
  const server = await start();
  const token = await server.token('Ada');
  const ids = [];
  for (let n = 0; n < LEGS / IN_A_MEETING; n += 1) ids.push(await meeting(server, token));
  // A talker in each meeting, then the others.
  const talkers = calls('talkers.csv', silent > 0 ? ids : ids.flatMap((id) => Array(IN_A_MEETING).fill(id)));
  const running = [sipp(leg('voice.raw'), CALLERS, '-inf', talkers, '-m', String(LEGS - silent), '-r', '20', '-mp', '30000')];
  if (silent > 0) {
    const others = calls('others.csv', ids.flatMap((id) => Array(IN_A_MEETING - 1).fill(id)));
    running.push(sipp(leg('silence.raw'), CALLERS + 1, '-inf', others, '-m', String(silent), '-r', '20', '-mp', '40000'));
  }
  for (let waited = 0; (await counted(server, 'sip_legs')) < LEGS; waited += 1) {
    if (waited > 60) throw new Error(`only ${await counted(server, 'sip_legs')} legs came`);
    await sleep(500);
  }
  // The last ones press their keys.
  await sleep(8_000);
  const page = async () => (await fetch(`${server.url}/metrics`)).text();
  const [before, began, used] = [await page(), performance.now(), cpu(server.pid)];
  await sleep(WINDOW_MS);
  const [after, ended, spent] = [await page(), performance.now(), cpu(server.pid)];
  const inside = series(after, 'engine_publications')?.[0]?.value;
  hold(`${LEGS} legs, ${what}: processor`, (spent - used) / ((ended - began) / 1000), 0.5, 'of a core');
  hold(`${LEGS} legs, ${what}: ticks later than 3 ms`, later(before, after, '0.003'), 10, 'of a thousand');
  console.log(`        memory ${rss(server.pid).toFixed(0)} MiB${inside === undefined ? '' : `, ${inside} voices in meetings`}`);
  const codes = await Promise.all(running);
  if (codes.some((code) => code !== 0)) missed.push(`${what}: SIPp ended with ${codes}`);
  await server.stop();
}

async function manyCalls() {
  const server = await start();
  const some = (count) => sipp(join(here, 'short.xml'), CALLERS, '-m', String(count), '-r', '100', '-l', '400');
  const [idle, used, began] = [rss(server.pid), cpu(server.pid), performance.now()];
  const code = await some(CALLS);
  const [took, spent, most] = [(performance.now() - began) / 1000, cpu(server.pid) - used, rss(server.pid)];
  await sleep(FORGOTTEN_MS);
  const after = rss(server.pid);
  console.log(`        ${CALLS} calls in ${took.toFixed(1)} s, ${spent.toFixed(1)} CPU-s`);
  console.log(`        memory: ${[idle, most, after].map((mib) => mib.toFixed(1)).join(', ')} MiB idle, at the end of them, when nobody has called for a while`);
  hold('calls that failed, as SIPp ends', code, 0, '');
  hold(`memory after ${CALLS} calls`, after / idle, 1.1, 'of before');
  hold('legs left behind', await counted(server, 'sip_legs'), 0, 'legs');
  await server.stop();
}

/** One flood, and what it does to the server, to phones in meetings and to those who call. */
async function flood(from, method, rate) {
  const who = from === MAD ? 'a trunk' : 'a stranger';
  console.log(`${method} from ${who}`);
  const server = await start({ mad: true });
  const token = await server.token('Ada');
  const ids = await Promise.all(Array.from({ length: TALKERS / IN_A_MEETING }, () => meeting(server, token)));
  const talkers = calls('talkers.csv', ids.flatMap((id) => Array(IN_A_MEETING).fill(id)));
  const talking = sipp(leg('voice.raw'), CALLERS, '-inf', talkers, '-m', String(TALKERS), '-r', '20', '-mp', '30000');
  for (let waited = 0; (await counted(server, 'sip_legs')) < TALKERS; waited += 1) {
    if (waited > 60) throw new Error(`only ${await counted(server, 'sip_legs')} legs came`);
    await sleep(500);
  }
  await sleep(8_000);
  const page = async () => (await fetch(`${server.url}/metrics`)).text();
  const used = async (ms) => {
    const [before, began] = [cpu(server.pid), performance.now()];
    await sleep(ms);
    return (cpu(server.pid) - before) / ((performance.now() - began) / 1_000);
  };
  const quiet = await page();
  const [calm, idle] = [await used(5_000), rss(server.pid)];
  const figures = async () => [await counted(server, 'sip_dropped_total', { why: from === MAD ? 'rate' : 'source' }), await counted(server, 'sip_requests_total', { method }), overflowed(SIP)];
  const [before, begun] = [await page(), await figures()];
  let most = idle;
  const watch = setInterval(() => (most = Math.max(most, rss(server.pid))), 500);
  const running = await startFlood({ from, to: SIP, method, rate });
  const short = sipp(join(here, 'short.xml'), CALLERS + 1, '-m', String(FLOOD_MS / 1_000 - 5), '-r', '1', '-mp', '40000');
  const busy = await used(FLOOD_MS);
  const after = await page();
  const { sent, seconds, answers } = await running.stop();
  clearInterval(watch);
  const [dropped, served, overflow] = (await figures()).map((value, n) => value - begun[n]);
  const codes = await Promise.all([short, talking]);
  // What was answered is remembered for a while.
  const forgotten = from === MAD ? FORGOTTEN_MS : 2_000;
  await sleep(forgotten);
  const left = rss(server.pid);
  console.log(`        ${(sent / seconds).toFixed(0)} a second, ${sent} in all: ${dropped} dropped, ${served} served, ${overflow} for which the system had no room; answers ${JSON.stringify(answers)}`);
  // The first time the allocator takes what it needs, and keeps most of it: what grows after that is a leak.
  const again = await startFlood({ from, to: SIP, method, rate });
  await sleep(FLOOD_MS);
  await again.stop();
  await sleep(forgotten);
  const twice = rss(server.pid);
  const late = [later(before, after, '0.003'), later(quiet, before, '0.003')];
  console.log(`        processor ${busy.toFixed(3)} of a core, ${calm.toFixed(3)} without; ticks later than 3 ms ${late[0].toFixed(1)} of a thousand, ${late[1].toFixed(1)} without`);
  console.log(`        memory ${[idle, most, left, twice].map((mib) => mib.toFixed(1)).join(', ')} MiB before, at most, after, after another`);
  const what = `${method} from ${who}`;
  const bar = FLOODED[from];
  hold(`${what}: processor for each that came in`, (1e6 * (busy - calm) * seconds) / (dropped + served), bar.cpu, 'µs');
  hold(`${what}: processor`, busy, bar.busy, 'of a core');
  hold(`${what}: memory on top`, most - idle, bar.growth, 'MiB');
  hold(`${what}: memory left by another`, twice - left, bar.leak, 'MiB');
  // What else the machine does is in both.
  hold(`${what}: ticks later than 3 ms by it`, Math.max(0, late[0] - late[1]), bar.late, 'of a thousand');
  hold(`${what}: runs of SIPp with a call that failed`, codes.filter((code) => code !== 0).length, 0, 'runs');
  if (from === STRANGER) hold(`${what}: answers`, Object.keys(answers).length, 0, 'codes');
  hold(`${what}: legs and calls left behind`, (await counted(server, 'sip_legs')) + (await counted(server, 'sip_calls')), 0, 'of them');
  // Our own questions whether a trunk is there go on.
  hold(`${what}: transactions left behind`, await counted(server, 'sip_transactions'), 4, 'of them');
  await server.stop();
}

/** What a flood may cost. A trunk's is answered within its rate, and what was answered is remembered for 32 s. */
const FLOODED = {
  [STRANGER]: { cpu: 10, busy: 0.3, growth: 20, leak: 5, late: 50 },
  [MAD]: { cpu: 20, busy: 0.4, growth: 64, leak: 30, late: 50 },
};

async function floods(rate) {
  for (const from of [STRANGER, MAD]) for (const method of ['INVITE', 'REGISTER', 'OPTIONS']) await flood(from, method, rate);
}

const raw = (name, ...input) => execFileSync('ffmpeg', ['-v', 'error', '-y', ...input, '-ar', '8000', '-ac', '1', '-f', 'mulaw', join(folder, name)]);
// A voice from the prompts, and nothing.
raw('voice.raw', '-i', join(here, '../../src/sip/prompts/en/organizer-pin.wav'));
raw('silence.raw', '-f', 'lavfi', '-t', '2', '-i', 'anullsrc=r=8000:cl=mono');

switch (process.argv[2]) {
  case 'legs':
    await legs('one in ten talks', LEGS - LEGS / IN_A_MEETING);
    await legs('all talk', 0);
    break;
  case 'calls':
    await manyCalls();
    break;
  case 'floods':
    await floods(Number(process.argv[3] ?? FLOOD_RATE));
    break;
  default:
    console.error('Say what: legs, calls or floods.');
    process.exitCode = 2;
}
if (missed.length > 0) {
  console.error(`missed: ${missed.join('; ')}`);
  process.exitCode = 1;
}

/**
 * A real telephone: baresip, driven by its control port, with a tone as its voice and ears that tests can read.
 *
 * ```text
 * test ─dial, press, hangUp─> ctrl_tcp (netstrings of JSON) ─> baresip <─SIP, RTP─> the server
 * test <─events───────────────────────────────────────────────┘ └─sndfile─> dump-*-dec.wav (heard), dump-*-enc.wav (said)
 * ```
 *
 * What is said is written as it leaves. What is heard is written behind its jitter buffer, which holds five packets: 100 ms later.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from './ports.mjs';
import { amplitude, PHONE_RATE, promptsIn } from './sound.mjs';
import { now, until } from './wait.mjs';

const MODULES = process.env.BARESIP_MODULES ?? '/usr/lib/baresip/modules';
/** Before the samples; in it, from here on, how many channels and how many samples a second. */
const WAV_HEADER = 44;
const [WAV_CHANNELS, WAV_RATE] = [22, 24];
/** Codecs as accounts name them. */
const CODECS = { PCMU: 'PCMU', PCMA: 'PCMA', G722: 'G722/16000/1', opus: 'opus/48000/2' };
/** From key to key: baresip makes each last 240 ms, and the next one wait. */
const KEY_MS = 250;
/** Samples of 10 ms. */
const WATCHED = 80;

const living = new Set();
process.on('exit', () => living.forEach((phone) => phone.end()));

/**
 * @param {object} options
 * @param {string} options.number its own, as callers show it
 * @param {number} [options.tone] its voice, in Hz
 * @param {number} [options.port] where it is called; a free one without
 * @param {string} [options.address] of its own
 * @param {'udp' | 'tcp' | 'tls'} [options.transport] by which it calls
 * @param {string} [options.certificate] TLS: PEM file of its certificate and key
 * @param {string} [options.mediaenc] such as `srtp-mand`
 * @param {'PCMU' | 'PCMA' | 'G722' | 'opus'} [options.codecs] which it offers
 * @param {boolean} [options.answers] picks up by itself
 */
export async function startPhone(options) {
  const phone = new Phone(options, options.port ?? (await freePort()), await freePort());
  await phone.start();
  return phone;
}

class Phone {
  /** Everything that happened, oldest first, with the time when it was told. @type {{type: string, at: number, [key: string]: any}[]} */
  events = [];
  #options;
  #control;
  #folder = mkdtempSync(join(tmpdir(), 'plenum-phone-'));
  #child = null;
  #socket = null;
  #log = '';
  #pending = Buffer.alloc(0);

  constructor(options, port, control) {
    this.#options = { address: '127.0.0.1', tone: 1_000, transport: 'udp', codecs: 'PCMU', answers: false, ...options };
    this.port = port;
    this.#control = control;
  }

  async start() {
    const { number, address, tone, certificate, mediaenc, codecs, answers } = this.#options;
    const sounds = join(this.#folder, 'sounds');
    mkdirSync(sounds);
    writeFileSync(join(this.#folder, 'config'), [
      'poll_method epoll',
      `sip_listen ${address}:${this.port}`,
      ...(certificate ? [`sip_certificate ${certificate}`, 'sip_verify_server no'] : []),
      'call_local_timeout 120',
      'call_max_calls 4',
      `module_path ${MODULES}`,
      ...['g711', 'g722', 'opus', 'aubridge', 'ausine', 'sndfile', 'srtp'].map((name) => `module ${name}.so`),
      'module_tmp account.so',
      'module_app menu.so',
      'module_app ctrl_tcp.so',
      `ctrl_tcp_listen 127.0.0.1:${this.#control}`,
      `snd_path ${sounds}`,
      'audio_player aubridge,sink',
      `audio_source ausine,${tone}`,
      'audio_alert aubridge,alert',
      // The tone's maker knows nothing else.
      'ausrc_srate 48000',
      'ausrc_channels 2',
      '',
    ].join('\n'));
    const account = [
      `<sip:${number}@${address}:${this.port}>`,
      'regint=0',
      `audio_codecs=${CODECS[codecs]}`,
      ...(mediaenc ? [`mediaenc=${mediaenc}`] : []),
      ...(answers ? ['answermode=auto'] : []),
    ];
    writeFileSync(join(this.#folder, 'accounts'), `${account.join(';')}\n`);
    const child = spawn('baresip', ['-4', '-f', this.#folder], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    living.add(this);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (this.#log += bytes));
    for (const handle of [child, child.stdout, child.stderr]) handle.unref();
    child.once('error', (error) => (this.#log += `${error}\n`));
    this.#socket = await until('the phone to be ready', async () => {
      if (child.exitCode !== null) throw new Error(`it ended:\n${this.#log}`);
      const socket = createConnection(this.#control, '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    });
    this.#socket.on('data', (bytes) => this.#read(bytes));
    this.#socket.on('error', () => {});
    this.#socket.unref();
  }

  /** What it printed. */
  get log() {
    return this.#log;
  }

  #read(bytes) {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    for (;;) {
      const colon = this.#pending.indexOf(':');
      if (colon < 0) return;
      const end = colon + 1 + Number(this.#pending.subarray(0, colon));
      if (this.#pending.length <= end) return;
      const message = JSON.parse(this.#pending.subarray(colon + 1, end).toString());
      this.#pending = this.#pending.subarray(end + 1);
      if (message.event) this.events.push({ ...message, at: now() });
    }
  }

  #command(command, params) {
    const text = JSON.stringify({ command, params });
    this.#socket.write(`${Buffer.byteLength(text)}:${text},`);
  }

  /** Calls. @returns {Call} which goes on by itself */
  dial(address) {
    const call = new Call(this, this.#files(), this.events.length);
    this.#command('dial', `${address}${this.#options.transport === 'udp' ? '' : `;transport=${this.#options.transport}`}`);
    return call;
  }

  /** Waits to be called. @returns {Promise<Call>} once it rings */
  async rings(since = 0, options) {
    await until('the phone to ring', () => this.events.slice(since).some(({ type }) => type === 'CALL_INCOMING'), options);
    return new Call(this, [], since);
  }

  accept() {
    this.#command('accept');
  }

  hangUp() {
    this.#command('hangup');
  }

  /** Silence, or not any more. */
  mute() {
    this.#command('mute');
  }

  /** Presses keys, as RFC 4733 says them. @returns {Promise<number>} when the last one was pressed */
  async press(keys) {
    let pressed = now();
    for (const [n, key] of [...keys].entries()) {
      if (n > 0) await pause(KEY_MS);
      pressed = now();
      this.#command('sndcode', key);
    }
    return pressed;
  }

  #files() {
    return readdirSync(join(this.#folder, 'sounds'));
  }

  /** @param {'dec' | 'enc'} way @param {string[]} old files of calls before */
  file(way, old) {
    const name = this.#files().filter((file) => file.endsWith(`-${way}.wav`) && !old.includes(file)).sort().at(-1);
    return name && join(this.#folder, 'sounds', name);
  }

  /** Whatever happened: the program is gone, and its files. */
  end() {
    living.delete(this);
    this.#socket?.destroy();
    this.#child?.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One call of a phone. */
class Call {
  #phone;
  #old;
  #since;

  constructor(phone, old, since) {
    this.#phone = phone;
    this.#old = old;
    this.#since = since;
  }

  #event(...types) {
    return this.#phone.events.slice(this.#since).find(({ type }) => types.includes(type));
  }

  /** Waits until it is answered. @returns {Promise<number>} when */
  async answered(options) {
    const { type, at, param } = await until('an answer', () => this.#event('CALL_ESTABLISHED', 'CALL_CLOSED'), options);
    assert.equal(type, 'CALL_ESTABLISHED', `the call ended: ${param}`);
    return at;
  }

  get isOver() {
    return this.#event('CALL_CLOSED') !== undefined;
  }

  /** Waits until it is over. @returns {Promise<string>} why, as the phone was told */
  async ended(options) {
    return (await until('the end of the call', () => this.#event('CALL_CLOSED'), options)).param;
  }

  /** At the rate of a telephone, whatever the codec's is: of its first channel every so many samples. */
  #samples(way, from) {
    const file = this.#phone.file(way, this.#old);
    if (!file || !existsSync(file)) return new Float32Array();
    const bytes = readFileSync(file);
    const step = stepOf(bytes);
    const count = Math.max(0, Math.floor((bytes.length - WAV_HEADER) / step) - from);
    return Float32Array.from({ length: count }, (_, n) => bytes.readInt16LE(WAV_HEADER + step * (from + n)) / 32_768);
  }

  /** What it has heard so far. @param {number} [from] the first sample that is wanted */
  heard(from = 0) {
    return this.#samples('dec', from);
  }

  /** What it has said so far. */
  said(from = 0) {
    return this.#samples('enc', from);
  }

  /** Samples a second of the codec that was agreed on. */
  get rate() {
    const file = this.#phone.file('dec', this.#old);
    return file && readStart(file).readUInt32LE(WAV_RATE);
  }

  /** Where `heard` is now. @param {'dec' | 'enc'} way */
  position(way = 'dec') {
    const file = this.#phone.file(way, this.#old);
    if (!file || !existsSync(file)) return 0;
    const { size } = statSync(file);
    return size <= WAV_HEADER ? 0 : Math.floor((size - WAV_HEADER) / stepOf(readStart(file)));
  }

  /** Waits for as much new sound as this. */
  async next(seconds, way = 'dec', from = this.position(way)) {
    const count = Math.round(seconds * PHONE_RATE);
    await until(`${seconds} s of sound`, () => this.position(way) >= from + count, { timeout: seconds * 1_000 + 15_000 });
    return this.#samples(way, from).subarray(0, count);
  }

  /**
   * Writes down when each part of a sound came, as its file grows, until `stop` says so.
   * @param {'dec' | 'enc'} way
   * @param {number} tone whose amplitude is wanted, over 10 ms each
   * @returns {() => {at: number, level: number}[]} stops, and gives what was heard
   */
  watch(way, tone) {
    const from = this.position(way);
    const steps = [];
    const timer = setInterval(() => {
      const position = this.position(way);
      if (position !== steps.at(-1)?.position) steps.push({ position, at: now() });
    }, 2);
    return () => {
      clearInterval(timer);
      const samples = this.#samples(way, from);
      return steps.flatMap(({ position, at }, n) => {
        const begin = n === 0 ? from : steps[n - 1].position;
        // A packet's samples were one after the other when they were said; all of them came with it.
        const windows = Math.floor((position - begin) / WATCHED);
        return Array.from({ length: windows }, (_, w) => ({ at, level: amplitude(samples.subarray(begin - from + w * WATCHED, begin - from + (w + 1) * WATCHED), tone) }));
      });
    };
  }

  /** The prompts so far. */
  prompts(from = 0) {
    return promptsIn(this.heard(from));
  }

  /** Waits until these prompts were said, in this order, perhaps with others between. */
  async hears(names, from = 0, options) {
    await until(`the prompts ${names}`, () => {
      const said = this.prompts(from);
      let next = 0;
      for (const one of said) if (one === names[next]) next += 1;
      if (next < names.length) throw new Error(`heard ${said}, and the phone says ${JSON.stringify(this.#phone.events.slice(this.#since))}`);
      return true;
    }, options);
  }
}

/** Bytes from one sample of a telephone's rate to the next. @param {Buffer} wav */
function stepOf(wav) {
  return wav.length < WAV_HEADER ? 2 : 2 * wav.readUInt16LE(WAV_CHANNELS) * (wav.readUInt32LE(WAV_RATE) / PHONE_RATE);
}

function readStart(file) {
  const start = Buffer.alloc(WAV_HEADER);
  const handle = openSync(file);
  readSync(handle, start);
  closeSync(handle);
  return start;
}

/**
 * SIPp plays one scenario of tests/phone: what is said, word by word, where a telephone would only say it well.
 *
 * A scenario that is to wait for the test has `<recv request="NOTIFY"/>` there, and `next()` sends one: SIPp knows its call by the
 * Call-ID. Sound is none of SIPp's: scenarios name a port of `rtp.mjs` in their SDP.
 */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './env.mjs';
import { freePort } from './ports.mjs';
import { until } from './wait.mjs';

/** A scenario that gets no further ends by itself, with an error. */
const PATIENCE_MS = 40_000;

const living = new Set();
process.on('exit', () => living.forEach((sipp) => sipp.end()));

/**
 * @param {object} options
 * @param {string} options.scenario a file of tests/phone, without its ending
 * @param {number} [options.to] port of the server, where SIPp calls; without, it waits to be called
 * @param {number} [options.port] its own
 * @param {number} [options.calls] how many, one after the other
 * @param {Record<string, string | number>} [options.keys] words of the scenario: `{ media_port: 6000 }` for `[media_port]`
 */
export async function playScenario(options) {
  const sipp = new Sipp(options, options.port ?? (await freePort()));
  await sipp.start();
  return sipp;
}

class Sipp {
  #options;
  #folder = mkdtempSync(join(tmpdir(), 'plenum-sipp-'));
  #child;
  #ended;
  #screen = '';
  #steps = 0;

  constructor(options, port) {
    this.#options = { calls: 1, keys: {}, ...options };
    this.port = port;
  }

  async start() {
    const { scenario, to, calls, keys } = this.#options;
    const args = [
      ...(to ? [`127.0.0.1:${to}`] : []),
      ...['-sf', join(root, 'tests/phone', `${scenario}.xml`)],
      ...['-i', '127.0.0.1', '-p', String(this.port), '-m', String(calls), '-l', '1', '-r', '50', '-nostdin'],
      ...['-cid_str', `%u-${this.port}@sipp`, '-recv_timeout', String(PATIENCE_MS)],
      ...['-trace_err', '-error_file', join(this.#folder, 'errors'), '-trace_logs', '-log_file', join(this.#folder, 'log')],
      ...Object.entries(keys).flatMap(([key, value]) => ['-key', key, String(value)]),
    ];
    const child = spawn('sipp', args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.#folder, env: { ...process.env, TERM: 'dumb' } });
    this.#child = child;
    living.add(this);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (this.#screen = `${this.#screen}${bytes}`.slice(-8_000)));
    for (const handle of [child, child.stdout, child.stderr]) handle.unref();
    this.#ended = once(child, 'exit').then(([code]) => code);
    if (!to) await until('SIPp to listen', () => isTaken(this.port));
  }

  /** What `<log>` wrote, line by line. */
  get log() {
    return this.#read('log').split('\n').filter(Boolean);
  }

  #read(name) {
    const file = join(this.#folder, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Lets the scenario go on. */
  async next() {
    this.#steps += 1;
    const message = [
      `NOTIFY sip:sipp@127.0.0.1:${this.port} SIP/2.0`,
      `Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-next-${this.#steps}`,
      'From: <sip:test@127.0.0.1>;tag=test',
      'To: <sip:sipp@127.0.0.1>',
      `Call-ID: 1-${this.port}@sipp`,
      `CSeq: ${this.#steps} NOTIFY`,
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
    const socket = createSocket('udp4');
    await new Promise((done) => socket.send(message, this.port, '127.0.0.1', done));
    socket.close();
  }

  /** Waits until all is as the scenario says. */
  async done() {
    this.#child.ref();
    const code = await this.#ended;
    const errors = this.#read('errors');
    this.end();
    if (code !== 0) throw new Error(`SIPp ended with ${code} in ${this.#options.scenario}:\n${(errors || this.#screen).slice(0, 1_500)}`);
  }

  /** Whatever happened: the program is gone, and its files. */
  end() {
    living.delete(this);
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Whether somebody has the port. */
async function isTaken(port) {
  const socket = createSocket('udp4');
  const taken = await new Promise((resolve) => {
    socket.once('error', () => resolve(true));
    socket.bind(port, '127.0.0.1', () => resolve(false));
  });
  socket.close();
  return taken;
}

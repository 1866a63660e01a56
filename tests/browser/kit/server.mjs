/**
 * The real binary on a free port with a data folder of its own; killed, restarted and read like an operator would.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { dataDir, plenum } from './env.mjs';
import { freePort } from './ports.mjs';
import { until } from './wait.mjs';

const run = promisify(execFile);
const living = new Set();
process.on('exit', () => living.forEach((child) => child.kill('SIGKILL')));

/**
 * @param {object} options
 * @param {boolean} [options.lan] start with `--lan`, on all addresses and with HTTPS
 * @param {Record<string, string>} [options.env] further settings as PLENUM__SECTION__KEY
 */
export async function startServer({ lan = false, env = {} } = {}) {
  assert.ok(existsSync(plenum), `${plenum} does not exist. Build it with \`cargo build\`, or name another in PLENUM_BIN.`);
  mkdirSync(dataDir, { recursive: true });
  const server = new Server(lan, env, await freePort(), mkdtempSync(join(dataDir, 'run-')));
  await server.start();
  return server;
}

class Server {
  #lan;
  #env;
  #child = null;
  #log = '';
  /** Strings that must appear in no log: names, chat texts. Tests add theirs. */
  canaries = new Set();

  constructor(lan, env, port, data) {
    this.#lan = lan;
    this.#env = env;
    this.port = port;
    this.data = data;
    this.url = `${lan ? 'https' : 'http'}://127.0.0.1:${port}`;
  }

  get log() {
    return this.#log;
  }

  /** Of its process. */
  get pid() {
    return this.#child.pid;
  }

  /** Starts, or starts again on the same port and data. @returns {Promise<number>} ms until it was ready */
  async start() {
    const started = performance.now();
    const listen = `${this.#lan ? '0.0.0.0' : '127.0.0.1'}:${this.port}`;
    const child = spawn(plenum, ['--listen', listen, '--data', this.data, ...(this.#lan ? ['--lan'] : [])], {
      cwd: this.data,
      env: { ...process.env, PLENUM__MEDIA__ANNOUNCE: '127.0.0.1', ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    living.add(child);
    // A server that a failed test left running must not keep the run from ending; `living` then ends it.
    for (const handle of [child, child.stdout, child.stderr]) handle.unref();
    child.once('exit', () => living.delete(child));
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (this.#log += bytes));
    this.#child = child;
    try {
      await until('the server to be ready', () => {
        if (child.exitCode !== null) return { failed: true };
        return this.#isReady();
      });
      assert.equal(child.exitCode, null, `the server ended by itself:\n${this.#log}`);
    } catch (error) {
      child.kill('SIGKILL');
      throw new Error(`${error.message}\n--- its log ---\n${this.#log}`, { cause: error });
    }
    return performance.now() - started;
  }

  async #isReady() {
    if (!this.#lan) return (await fetch(`${this.url}/readyz`)).ok;
    const { stdout } = await run('curl', ['-ksS', '-o', '/dev/null', '-w', '%{http_code}', `${this.url}/readyz`]);
    return stdout === '200';
  }

  /** A fresh organiser's link, as an operator gets it. */
  async link() {
    const { stdout } = await run(plenum, ['link', '--data', this.data], { cwd: this.data, timeout: 10_000 });
    const key = /#key=(\S+)/.exec(stdout)?.[1];
    assert.ok(key, `\`plenum link\` printed no link: ${stdout}`);
    return `${this.url}/#key=${key}`;
  }

  /** A token of a user, for calls without a browser. @param {string[]} more such as `--admin` */
  async token(user, ...more) {
    const { stdout } = await run(plenum, ['token', '--user', user, '--data', this.data, ...more], { cwd: this.data, timeout: 10_000 });
    return stdout.trim();
  }

  /** As a power cut would: no goodbye. */
  async kill() {
    const gone = once(this.#child, 'exit');
    this.#child.ref();
    this.#child.kill('SIGKILL');
    await gone;
  }

  /** Ends it as Ctrl-C does, and judges how it went. */
  async stop() {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGINT');
      const impatience = setTimeout(() => child.kill('SIGKILL'), 15_000);
      const [code, signal] = await gone;
      clearTimeout(impatience);
      assert.deepEqual([code, signal], [0, null], `Ctrl-C must end the server cleanly:\n${tail(this.#log)}`);
    }
    assert.doesNotMatch(this.#log, /panicked at/, 'no thread of the server may panic');
    for (const canary of this.canaries) assert.ok(!this.#log.includes(canary), `the log names ${JSON.stringify(canary)}`);
    assert.doesNotMatch(this.#log, /a=(candidate|ice-pwd|fingerprint)|eyJ[\w-]+\.eyJ/, 'neither SDP nor tokens in a log');
    rmSync(this.data, { recursive: true, force: true });
  }
}

const tail = (text) => text.split('\n').slice(-40).join('\n');

/**
 * A telephone provider as customers meet it: Kamailio, with a registrar and a proxy in front of one telephone (tests/phone/provider.cfg).
 *
 * ```text
 *                      ┌ line1 ─UDP─ 127.0.0.11 ┐
 * the server, customer ┼ line2 ─TCP─ 127.0.0.12 ┼ Kamailio ─UDP─ a telephone
 *                      └ line3 ─TLS─ 127.0.0.13 ┘
 * ```
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from './certificate.mjs';
import { root } from './env.mjs';
import { until } from './wait.mjs';

/** Where it listens; a customer's line comes by one of them. */
const AT = { udp: '127.0.0.11', tcp: '127.0.0.12', tls: '127.0.0.13' };
const PASSWORD = 'open-sesame';
/** Seconds: for how long it lets us register, far longer than any test, and how old its nonces grow. */
const [EXPIRES, NONCE] = [3_600, 8];

const living = new Set();
process.on('exit', () => living.forEach((provider) => provider.end()));

/**
 * @param {object} options
 * @param {number} options.port
 * @param {number} options.phone port of the telephone ...
 * @param {string} options.number ... and who it is
 */
export async function startProvider(options) {
  const provider = new Provider(options);
  await provider.start();
  return provider;
}

class Provider {
  /** The lines of its customer, in the order of their digits. */
  lines = Object.keys(AT);
  #options;
  #folder = mkdtempSync(join(tmpdir(), 'plenum-provider-'));
  #certificate;
  #child = null;
  #log = '';

  constructor(options) {
    this.#options = options;
    this.#certificate = makeCertificate(this.#folder, `IP:${AT.tls}`);
  }

  async start() {
    const words = {
      ...this.#options, ...AT,
      realm: 'provider.test', password: PASSWORD, expires: EXPIRES, nonce_seconds: NONCE,
      certificate: this.#certificate.certificate, key: this.#certificate.key,
    };
    const config = readFileSync(join(root, 'tests/phone/provider.cfg'), 'utf8').replace(/\{(\w+)\}/g, (whole, word) => words[word] ?? whole);
    const file = join(this.#folder, 'provider.cfg');
    writeFileSync(file, config);
    const child = spawn('kamailio', ['-f', file, '-DD', '-E', '-m', '16', '-M', '4', '-Y', this.#folder], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#child = child;
    living.add(this);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (this.#log += bytes));
    for (const handle of [child, child.stdout, child.stderr]) handle.unref();
    child.once('error', (error) => (this.#log += `${error}\n`));
    await until('the provider to be there', async () => {
      if (child.exitCode !== null) throw new Error(`it ended:\n${this.#log.slice(-2_000)}`);
      const socket = createConnection(this.#options.port, AT.tcp);
      await once(socket, 'connect');
      socket.destroy();
      return true;
    });
  }

  /** Ends and begins anew: of connections and registrations it knows nothing any more. */
  async restart() {
    await this.stop();
    await this.start();
  }

  async stop() {
    const gone = once(this.#child, 'exit');
    process.kill(-this.#child.pid, 'SIGKILL');
    await gone;
  }

  /** What it noted of a line since: `{ what: 'REGISTER', line, transport, expires }`, oldest first. */
  notes(since = 0) {
    return [...this.#log.slice(since).matchAll(/(REGISTER|INVITE) of (line\d) by (\w+)(?: for (\d+))?/g)]
      .map(([, what, line, transport, expires]) => ({ what, line, transport, expires: expires && Number(expires) }));
  }

  /** Where `notes` is now. */
  get position() {
    return this.#log.length;
  }

  /** The number that leads to a line. */
  number(transport, rest = '00') {
    return `+4930${this.lines.indexOf(transport) + 1}${rest}`;
  }

  /** What a telephone dials. */
  address(number) {
    return `sip:${number}@${AT.udp}:${this.#options.port}`;
  }

  /** What the customer's administrator writes for a line. */
  trunk(transport) {
    return {
      name: transport,
      host: AT[transport],
      port: this.#options.port,
      transport,
      username: `line${this.lines.indexOf(transport) + 1}`,
      password: PASSWORD,
      register: true,
      options_seconds: 5,
      ...(transport === 'tls' ? { tls_ca: this.#certificate.certificate } : {}),
    };
  }

  /** Whatever happened: the programs are gone, and their files. */
  end() {
    living.delete(this);
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // They were gone before.
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

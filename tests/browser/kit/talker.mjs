/**
 * Somebody who says SIP byte by byte, by datagram or stream and from any address of this machine, and keeps what comes back.
 *
 * It hangs up on what became a call: whoever sends nonsense in a test leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { until } from './wait.mjs';

/**
 * @param {object} options
 * @param {'UDP' | 'TCP'} options.transport
 * @param {number} options.to port of the server
 * @param {string} [options.from] address
 */
export async function openTalker({ transport, to, from = '127.0.0.1' }) {
  const talker = new Talker(transport, to, from);
  await talker.open();
  return talker;
}

class Talker {
  /** The stream was ended by the other side. */
  closed = false;
  #to;
  #from;
  #socket;
  #heard = '';
  #probes = 0;

  constructor(transport, to, from) {
    this.transport = transport;
    this.#to = to;
    this.#from = from;
  }

  async open() {
    const hear = (bytes) => (this.#heard += bytes.toString('latin1'));
    if (this.transport === 'UDP') {
      this.#socket = createSocket('udp4').on('message', hear);
      this.#socket.bind(0, this.#from);
      await once(this.#socket, 'listening');
    } else {
      this.#socket = createConnection({ port: this.#to, host: '127.0.0.1', localAddress: this.#from });
      this.#socket.on('data', hear).on('error', () => {}).on('close', () => (this.closed = true));
      // One that is not wanted is cut before it knows that it is connected.
      await Promise.race([once(this.#socket, 'connect'), once(this.#socket, 'close')]).catch(() => {});
    }
    this.#socket.unref();
  }

  get port() {
    return this.transport === 'UDP' ? this.#socket.address().port : this.#socket.localPort;
  }

  /** Says it as it is. Resolves once the system took it. */
  send(bytes) {
    return new Promise((done) => (this.transport === 'UDP' ? this.#socket.send(bytes, this.#to, '127.0.0.1', done) : this.#socket.write(bytes, done)));
  }

  /** A request in order. */
  say(method, own, cseq = 1) {
    return this.send([
      `${method} sip:+493012345@127.0.0.1:${this.#to} SIP/2.0`,
      `Via: SIP/2.0/${this.transport} ${this.#from}:${this.port};branch=z9hG4bK-${method}-${own.join('').replace(/\W/g, '').slice(-60)};rport`,
      ...own,
      `CSeq: ${cseq} ${method}`,
      'Max-Forwards: 70',
      'Content-Length: 0',
      '', '',
    ].join('\r\n'));
  }

  /** What was answered so far, but for probes. @returns {{code: number, method?: string, cseq: number, header: (name: string) => string | undefined}[]} */
  answers() {
    return this.#answers().filter((answer) => !/^Call-ID: probe/.test(answer.header('Call-ID') ?? ''));
  }

  #answers() {
    return this.#heard.split(/^(?=SIP\/2\.0 \d{3} )/m).filter((text) => text.startsWith('SIP/2.0 ')).map((text) => {
      const header = (name) => new RegExp(`^${name}: .*$`, 'mi').exec(text)?.[0].trim();
      const [, cseq, method] = /: (\d+)\s+(\w+)/.exec(header('CSeq') ?? '') ?? [];
      return { code: Number(text.slice(8, 11)), cseq: Number(cseq), method, header };
    });
  }

  /** Asks whether it is there: when this is answered, so is everything that was said before. @returns {Promise<number>} the code */
  async probe() {
    this.#probes += 1;
    const id = `Call-ID: probe-${this.#probes}-${this.port}@talker`;
    await this.say('OPTIONS', [`From: <sip:+4989777@${this.#from}>;tag=p`, 'To: <sip:+493012345@127.0.0.1>', id]);
    return (await until('the answer to a probe', () => this.#answers().find((answer) => answer.header('Call-ID') === id))).code;
  }

  /** Ends the calls that were taken. @returns {Promise<number>} how many */
  async hangUp() {
    const finals = () => this.answers().filter(({ code, method }) => method === 'INVITE' && code >= 200);
    const idsOf = (answers) => new Set(answers.map((answer) => answer.header('Call-ID')));
    const begun = idsOf(this.answers().filter(({ code, method }) => method === 'INVITE' && code === 100));
    await until('an answer to every call', () => idsOf(finals()).size >= begun.size);
    let calls = 0;
    for (const id of begun) {
      const { code, cseq, header } = finals().find((answer) => answer.header('Call-ID') === id);
      assert.equal(code, 200, 'what was taken is answered');
      const own = [header('From'), header('To'), id];
      await this.say('ACK', own, cseq);
      await this.say('BYE', own, cseq + 1);
      await until('the end of a call', () => this.answers().some((answer) => answer.method === 'BYE' && answer.header('Call-ID') === id));
      calls += 1;
    }
    return calls;
  }

  close() {
    if (this.transport === 'UDP') this.#socket.close();
    else this.#socket.destroy();
  }
}

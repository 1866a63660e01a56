/**
 * A caller who sends what SIPp does not: the same request twice, or two in one breath. It knows nothing of timers, and repeats nothing.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { until } from './wait.mjs';

/** An offer whose sound nobody sends. */
export const NO_SOUND = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', 'm=audio 9 RTP/AVP 0', ''].join('\r\n');

/** @param {number} server its port */
export async function openCaller(server) {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref();
  return new Caller(socket, server);
}

class Caller {
  #socket;
  #server;
  #answers = [];

  constructor(socket, server) {
    this.#socket = socket;
    this.#server = server;
    socket.on('message', (bytes) => {
      const text = String(bytes);
      const find = (pattern) => pattern.exec(text)?.[1];
      const code = Number(find(/^SIP\/2\.0 (\d+)/));
      if (code >= 200) this.#answers.push({ id: find(/^Call-ID: (\S+)/im), method: find(/^CSeq: \d+ (\w+)/im), code, tag: find(/^To:.*(;tag=\S+)/im) ?? '' });
    });
  }

  /** @param {string} name one that no other call has */
  call(name) {
    const port = this.#socket.address().port;
    const id = `${name}-${port}@test`;
    const answers = (method) => this.#answers.filter((answer) => answer.id === id && answer.method === method);
    return {
      answers,
      /** Waits for the final one. @returns {Promise<{code: number, tag: string}>} */
      answer: (method) => until(`an answer to ${method}`, () => answers(method)[0]),
      send: (method, cseq, { tag = '', branch = 'invite', body = '' } = {}) => this.#socket.send([
        `${method} sip:+493012345@127.0.0.1:${this.#server} SIP/2.0`,
        `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bK-${name}-${branch};rport`,
        `From: <sip:+4989777@127.0.0.1:${port}>;tag=${name}`,
        `To: <sip:+493012345@127.0.0.1:${this.#server}>${tag}`,
        `Call-ID: ${id}`,
        `CSeq: ${cseq} ${method}`,
        `Contact: <sip:test@127.0.0.1:${port}>`,
        'Max-Forwards: 70',
        ...(body ? ['Content-Type: application/sdp'] : []),
        `Content-Length: ${body.length}`,
        '',
        body,
      ].join('\r\n'), this.#server, '127.0.0.1'),
    };
  }

  close() {
    this.#socket.close();
  }
}

/** Answers the first request that comes to a port, which asks whether a trunk is there, and leaves the port to others. */
export async function answerOnce(port) {
  const socket = createSocket('udp4');
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  const [bytes, from] = await once(socket, 'message', { signal: AbortSignal.timeout(15_000) });
  const kept = String(bytes).split('\r\n').filter((line) => /^(Via|From|To|Call-ID|CSeq):/i.test(line));
  const answer = ['SIP/2.0 200 OK', ...kept.map((line) => (/^To:/i.test(line) ? `${line};tag=here` : line)), 'Content-Length: 0', '', ''].join('\r\n');
  await new Promise((done) => socket.send(answer, from.port, from.address, done));
  await new Promise((done) => socket.close(done));
}

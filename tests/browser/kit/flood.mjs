/**
 * A flood of requests out of one address, from a process of its own: whoever measures the server meanwhile is not held up by sending.
 *
 * ```text
 * test ─startFlood─> fork ─INVITE, REGISTER, OPTIONS, each a new one─> the server
 * test <─what was sent, and answered─ stop() ─> ACK and BYE for every call that was taken: the flood leaves nothing of its own behind
 * ```
 */
import { fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { NO_SOUND } from './sip.mjs';
import { until } from './wait.mjs';

/** One that nobody stops ends by itself. */
const LONGEST_MS = 60_000;
/** Requests that the system has not taken yet. */
const IN_FLIGHT = 512;
/** Stands where each request has its number. */
const NUMBER = '00000000';
const file = fileURLToPath(import.meta.url);

const living = new Set();
process.on('exit', () => living.forEach((child) => child.kill('SIGKILL')));

/**
 * @typedef {object} Flooded
 * @property {number} sent requests that the system took
 * @property {number} seconds it took
 * @property {Record<string, number>} answers how many of each code came back
 *
 * @param {object} options
 * @param {string} options.from address, of 127.0.0.0/8
 * @param {number} options.to port of the server
 * @param {'INVITE' | 'REGISTER' | 'OPTIONS'} options.method
 * @param {number} [options.rate] requests a second; without, as many as it can
 * @returns {Promise<{ stop: () => Promise<Flooded> }>} once the first were sent
 */
export async function startFlood(options) {
  const child = fork(file, [JSON.stringify(options)]);
  living.add(child);
  child.once('exit', () => living.delete(child));
  const exit = once(child, 'exit');
  const says = async () => {
    const [said] = await Promise.race([once(child, 'message'), exit]);
    if (typeof said === 'number' || said === null) throw new Error(`the flood ended by itself: ${said}`);
    return said;
  };
  await says();
  const flooded = says();
  // Asked for at the end; until then nobody listens.
  flooded.catch(() => {});
  return {
    async stop() {
      if (child.connected) child.send('stop');
      const said = await flooded;
      await exit;
      return said;
    },
  };
}

/** The request that all are made of. */
function template({ from, to, method }, port) {
  const body = method === 'INVITE' ? NO_SOUND : '';
  return Buffer.from([
    `${method} sip:+493012345@127.0.0.1:${to} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from}:${port};branch=z9hG4bK-flood-${NUMBER};rport`,
    `From: <sip:+4989666@${from}:${port}>;tag=${NUMBER}`,
    `To: <sip:+493012345@127.0.0.1:${to}>`,
    `Call-ID: flood-${NUMBER}@${from}`,
    `CSeq: 1 ${method}`,
    `Contact: <sip:flood@${from}:${port}>`,
    'Max-Forwards: 70',
    ...(body ? ['Content-Type: application/sdp'] : []),
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n'));
}

/** In the process of its own. */
async function pour(options) {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 22 });
  socket.bind(0, options.from);
  await once(socket, 'listening');
  // A socket that has a peer looks no address up for each datagram.
  socket.connect(options.to, '127.0.0.1');
  await once(socket, 'connect');
  const one = template(options, socket.address().port);
  const places = [];
  for (let at = one.indexOf(NUMBER); at >= 0; at = one.indexOf(NUMBER, at + NUMBER.length)) places.push(at);
  const [answers, taken] = [{}, new Map()];
  socket.on('message', (bytes) => {
    const text = bytes.toString('latin1');
    const code = /^SIP\/2\.0 (\d+)/.exec(text)?.[1];
    if (!code) return;
    answers[code] = (answers[code] ?? 0) + 1;
    if (code !== '200' || !/^CSeq: 1 INVITE/m.test(text)) return;
    const header = (name) => new RegExp(`^${name}: .*$`, 'm').exec(text)?.[0];
    taken.set(header('Call-ID'), [header('From'), header('To'), header('Call-ID')]);
  });
  let [sent, flying, told, stopped] = [0, 0, false, false];
  process.on('message', () => (stopped = true));
  const began = performance.now();
  const done = (error) => {
    flying -= 1;
    if (!error) sent += 1;
  };
  for (let number = 0; !stopped && performance.now() - began < LONGEST_MS; ) {
    const due = options.rate ? Math.min((performance.now() - began) * (options.rate / 1_000), number + IN_FLIGHT) : number + IN_FLIGHT;
    for (; number < due && flying < IN_FLIGHT; number += 1) {
      const bytes = Buffer.from(one);
      const digits = number.toString(16).padStart(NUMBER.length, '0');
      for (const at of places) bytes.write(digits, at, 'latin1');
      flying += 1;
      socket.send(bytes, done);
    }
    if (number > 0 && !told) {
      told = true;
      process.send('began');
    }
    // Between what is due it leaves the processor to others.
    await new Promise((turn) => (options.rate ? setTimeout(turn, 1) : setImmediate(turn)));
  }
  await until('the system to take the last', () => flying === 0);
  const flooded = { sent, seconds: (performance.now() - began) / 1_000, answers: { ...answers } };
  await hangUp(socket, options, taken);
  process.send(flooded);
  socket.close();
  process.disconnect();
}

/** Ends the calls that were taken; until each says so, for what comes above the rate is dropped. */
async function hangUp(socket, { from, to }, taken) {
  const { port } = socket.address();
  const say = ([own, peer, id], method, cseq) => socket.send([
    `${method} sip:+493012345@127.0.0.1:${to} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from}:${port};branch=z9hG4bK-${method}-${/flood-(\w+)/.exec(id)[1]};rport`,
    own, peer, id,
    `CSeq: ${cseq} ${method}`,
    'Max-Forwards: 70',
    'Content-Length: 0',
    '', '',
  ].join('\r\n'));
  socket.on('message', (bytes) => {
    const text = bytes.toString('latin1');
    if (/^CSeq: 2 BYE/m.test(text)) taken.delete(/^Call-ID: .*$/m.exec(text)?.[0]);
  });
  let last = 0;
  await until('all calls to be over', () => {
    if (taken.size === 0) return true;
    if (performance.now() - last > 300) {
      last = performance.now();
      for (const headers of taken.values()) {
        say(headers, 'ACK', 1);
        say(headers, 'BYE', 2);
      }
    }
    return false;
  });
}

if (process.argv[1] === file) await pour(JSON.parse(process.argv[2]));

/**
 * The sound of a telephone whose signalling somebody else does (SIPp): G.711 out of a tone, keys as events, and what comes back as samples.
 *
 * It learns where to send from the first packet that comes, as the server sends from the start. Everything that is wrong on purpose is
 * sent by `raw`.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { amplitude, PHONE_RATE, promptsIn } from './sound.mjs';
import { now, until } from './wait.mjs';

const PACKET = 160;
const PACKET_MS = 20;
const VOLUME = 0.4;
/** Packets of a key that is pressed, the three of its end apart. */
const KEY_PACKETS = 5;
export const [PCMU, PCMA, EVENTS] = [0, 8, 101];

/** @param {{ tone: number, payloadType?: number }} voice */
export async function openSound({ tone, payloadType = PCMU }) {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return new Sound(socket, tone, payloadType);
}

class Sound {
  /** Where the server's packets come from, once one came. @type {{address: string, port: number} | null} */
  peer = null;
  /** Packets that came. */
  received = 0;
  #socket;
  #tone;
  #payloadType;
  #heard = [];
  #sequence = 1_000;
  #timestamp = 50_000;
  #ssrc = 0x50_4c_45_4e;
  #keys = [];
  #pressed = [];
  #talks = true;
  #isLoud = true;
  #wasLoud = true;
  #losesEvery = 0;
  #voices = 0;
  #began = [];
  #packets = [];
  #timer;

  constructor(socket, tone, payloadType) {
    this.#socket = socket;
    this.#tone = tone;
    this.#payloadType = payloadType;
    socket.on('message', (packet, from) => this.#receive(packet, from));
    socket.unref();
    const began = performance.now();
    let sent = 0;
    // As many packets as the clock says, however late a timer is.
    this.#timer = setInterval(() => {
      for (const due = (performance.now() - began) / PACKET_MS; sent < due; sent += 1) this.#send();
    }, 5);
    this.#timer.unref();
  }

  /** For SDP. */
  get port() {
    return this.#socket.address().port;
  }

  #receive(packet, { address, port }) {
    // What is no sound of ours: RTCP, or none at all.
    if (packet.length < 12 || packet[0] >> 6 !== 2 || (packet[1] & 0x7f) > 34) return;
    this.peer ??= { address, port };
    this.received += 1;
    const decode = (packet[1] & 0x7f) === PCMA ? fromAlaw : fromUlaw;
    const from = this.#heard.length;
    for (const byte of packet.subarray(12)) this.#heard.push(decode(byte));
    this.#packets.push({ at: now(), from });
  }

  /** How loud a tone was in each packet, and when that came. @returns {{at: number, level: number}[]} */
  levels(tone) {
    return this.#packets.map(({ at, from }, n) => ({ at, level: amplitude(this.#heard.slice(from, this.#packets[n + 1]?.from), tone) }));
  }

  /** What it heard. @param {number} [from] first sample */
  heard(from = 0) {
    return Float32Array.from(this.#heard.slice(from));
  }

  get position() {
    return this.#heard.length;
  }

  async next(seconds) {
    const from = this.position;
    await until(`${seconds} s of sound`, () => this.position >= from + seconds * PHONE_RATE, { timeout: seconds * 1_000 + 15_000 });
    return this.heard(from);
  }

  /** Waits until these prompts were said, in this order. */
  async hears(names, from = 0) {
    await until(`the prompts ${names}`, () => {
      let next = 0;
      const said = promptsIn(this.heard(from));
      for (const one of said) if (one === names[next]) next += 1;
      if (next < names.length) throw new Error(`heard ${said}`);
      return true;
    });
  }

  /** Talks, or does not. */
  talk(talks) {
    this.#talks = talks;
  }

  /** Of its voice every so-manieth packet is lost on the way; 0: none. */
  loses(every) {
    this.#losesEvery = every;
  }

  /** Says a word, and another one, with as much silence between: packets as well. @returns {Promise<number[]>} when the first packet of each was sent */
  async words(count, ms = 400) {
    this.#began = [];
    for (let n = 0; n < count; n += 1) {
      for (const loud of [false, true]) {
        this.#isLoud = loud;
        await pause(ms);
      }
    }
    return this.#began;
  }

  /** Presses keys one after the other. @returns {Promise<unknown>} when the last is released */
  press(keys) {
    for (const key of keys) this.#keys.push('0123456789*#ABCD'.indexOf(key));
    return new Promise((done) => this.#pressed.push(done));
  }

  #send() {
    if (!this.peer) return;
    if (this.#keys.length > 0) return this.#sendKey();
    for (const done of this.#pressed.splice(0)) done();
    const payload = Buffer.alloc(PACKET);
    const encode = this.#payloadType === PCMA ? toAlaw : toUlaw;
    const volume = this.#isLoud ? VOLUME : 0;
    if (this.#isLoud && !this.#wasLoud) this.#began.push(now());
    this.#wasLoud = this.#isLoud;
    for (let n = 0; n < PACKET; n += 1) payload[n] = encode(volume * Math.sin((2 * Math.PI * this.#tone * (this.#timestamp + n)) / PHONE_RATE));
    this.#voices += 1;
    const isLost = this.#losesEvery > 0 && this.#voices % this.#losesEvery === 0;
    if (this.#talks && !isLost) this.raw(rtp(this.#payloadType, this.#sequence, this.#timestamp, this.#ssrc, payload));
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#timestamp += PACKET;
  }

  /** A packet of the key that is pressed; all of them say when it began (RFC 4733 §2.5). */
  #keyPacket = 0;
  #sendKey() {
    const [code] = this.#keys;
    const isEnd = this.#keyPacket >= KEY_PACKETS;
    const duration = Math.min(this.#keyPacket + 1, KEY_PACKETS) * PACKET;
    const payload = Buffer.from([code, isEnd ? 0x8a : 0x0a, duration >> 8, duration & 0xff]);
    this.raw(rtp(EVENTS, this.#sequence, this.#timestamp, this.#ssrc, payload, this.#keyPacket === 0));
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#keyPacket += 1;
    if (this.#keyPacket < KEY_PACKETS + 3) return;
    this.#keyPacket = 0;
    this.#timestamp += (KEY_PACKETS + 3) * PACKET;
    this.#keys.shift();
    // Between keys there is a pause.
    this.#timestamp += 2 * PACKET;
  }

  /** Sends whatever it is. */
  raw(packet) {
    if (this.peer) this.#socket.send(packet, this.peer.port, this.peer.address);
  }

  close() {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

/** One RTP packet. */
export function rtp(payloadType, sequence, timestamp, ssrc, payload, marker = false) {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = payloadType | (marker ? 0x80 : 0);
  header.writeUInt16BE(sequence & 0xffff, 2);
  header.writeUInt32BE(timestamp >>> 0, 4);
  header.writeUInt32BE(ssrc >>> 0, 8);
  return Buffer.concat([header, payload]);
}

/** G.711, ITU-T 1988. */
export function toUlaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const value = Math.min(32_635, Math.round(Math.abs(sample) * 32_768)) + 132;
  const exponent = Math.max(0, 24 - Math.clz32(value));
  return ~(sign | (exponent << 4) | ((value >> (exponent + 3)) & 0x0f)) & 0xff;
}

function fromUlaw(byte) {
  const code = ~byte & 0xff;
  const value = ((((code & 0x0f) << 3) + 132) << ((code >> 4) & 7)) - 132;
  return (code & 0x80 ? -value : value) / 32_768;
}

export function toAlaw(sample) {
  const sign = sample < 0 ? 0 : 0x80;
  const value = Math.min(32_767, Math.round(Math.abs(sample) * 32_768)) >> 3;
  const exponent = Math.max(0, 27 - Math.clz32(value));
  const mantissa = (exponent === 0 ? value >> 1 : value >> exponent) & 0x0f;
  return (sign | (exponent << 4) | mantissa) ^ 0x55;
}

function fromAlaw(byte) {
  const code = byte ^ 0x55;
  const exponent = (code >> 4) & 7;
  const mantissa = ((code & 0x0f) << 4) + 8;
  const value = exponent === 0 ? mantissa : (mantissa + 256) << (exponent - 1);
  return (code & 0x80 ? value : -value) / 32_768;
}

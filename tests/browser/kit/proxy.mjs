/**
 * A bad network, seeded: a TCP proxy (pages, API, WebSocket) and a UDP proxy (media) in front of one server.
 *
 * Every client address gets an upstream socket of its own, so that the server sees as many distinct paths as there are
 * clients. `cut` is a cable pulled out: nothing passes in either direction and nobody is told; `heal` plugs it in again, and
 * the TCP connections that were open are reset, as a NAT would by then. `rebind` is a NAT that forgets: every client
 * gets another address towards the server, and what the server still sends to the old one is silently gone. Loss and
 * delay act on UDP, by direction: `up` is towards the server, `down` towards the client.
 */
import { createSocket } from 'node:dgram';
import { createServer, connect } from 'node:net';
import { random } from './random.mjs';

/**
 * @typedef {object} Impairment
 * @property {number} loss a share, 0..1
 * @property {number} delayMs
 * @property {(datagram: Buffer) => boolean} drops a firewall's rule: what it says yes to does not pass
 */

const CLEAR = { loss: 0, delayMs: 0, drops: () => false };

/**
 * @param {object} options
 * @param {number} [options.tcpTarget] port of the server's TCP side
 * @param {number} [options.udpTarget] port of the server's UDP side
 * @param {number} [options.seed]
 * @param {boolean} [options.refuseUpgrade] answer every WebSocket handshake with 403, as some company proxies do
 */
export async function startProxy({ tcpTarget, udpTarget, seed = 1, refuseUpgrade = false } = {}) {
  const link = new Link(seed);
  const tcp = tcpTarget && new TcpSide(link, tcpTarget, refuseUpgrade);
  const udp = udpTarget && new UdpSide(link, udpTarget);
  await Promise.all([tcp?.listen(), udp?.listen()]);
  return {
    tcpPort: tcp?.port,
    udpPort: udp?.port,
    /** @param {{up?: Partial<Impairment>, down?: Partial<Impairment>}} directions what is left out becomes clear */
    impair: ({ up = {}, down = {} }) => Object.assign(link, { up: { ...CLEAR, ...up }, down: { ...CLEAR, ...down } }),
    cut: () => {
      link.isCut = true;
    },
    heal: () => {
      link.isCut = false;
      tcp?.resetAll();
    },
    /**
     * Gives every client that was heard so far a new address towards the server.
     * @returns {Promise<number>} `performance.now()` when the first RTP packet came down by a new address
     */
    rebind: () => udp.rebind(),
    /**
     * What passed and what did not, by direction; `lostByType` counts lost RTP packets by payload type, `stale` what the
     * server sent to an address that was no more.
     */
    counters: () => structuredClone(link.counters),
    close: () => {
      tcp?.close();
      udp?.close();
    },
  };
}

/** The state that both sides share: is the cable in, and how bad is it. */
class Link {
  isCut = false;
  up = CLEAR;
  down = CLEAR;
  counters = {
    up: { passed: 0, lost: 0, cut: 0, refused: 0, lostByType: {} },
    down: { passed: 0, lost: 0, cut: 0, refused: 0, stale: 0, lostByType: {} },
  };
  #dice;

  constructor(seed) {
    // A generator for each direction: traffic one way does not change the luck of the other.
    this.#dice = { up: random(seed), down: random(seed + 1) };
  }

  /** Gives the datagram to `send`, now, later or never. */
  carry(direction, datagram, send) {
    const { loss, delayMs, drops } = this[direction];
    const counters = this.counters[direction];
    if (this.isCut) counters.cut += 1;
    else if (drops(datagram)) counters.refused += 1;
    else if (loss > 0 && this.#dice[direction]() < loss) {
      counters.lost += 1;
      if (isRtp(datagram)) {
        const type = datagram[1] & 0x7f;
        counters.lostByType[type] = (counters.lostByType[type] ?? 0) + 1;
      }
    } else {
      counters.passed += 1;
      if (delayMs > 0) setTimeout(send, delayMs);
      else send();
    }
  }
}

/** RFC 7983 range of RTP and RTCP, less the RTCP types (RFC 5761). */
function isRtp(datagram) {
  return datagram.length >= 12 && datagram[0] >= 128 && datagram[0] < 192 && !(datagram[1] >= 192 && datagram[1] <= 223);
}

/** A Binding request: the check that an ICE agent sends (RFC 8489 §5). To be used as a rule of `drops`. */
export function isStunRequest(datagram) {
  return datagram.length >= 20 && datagram.readUInt16BE(0) === 0x0001;
}

class TcpSide {
  #link;
  #target;
  #refuseUpgrade;
  #pairs = new Set();
  #server = createServer((client) => this.#accept(client));

  constructor(link, target, refuseUpgrade) {
    this.#link = link;
    this.#target = target;
    this.#refuseUpgrade = refuseUpgrade;
  }

  get port() {
    return this.#server.address().port;
  }

  async listen() {
    await new Promise((ready) => this.#server.listen(0, '127.0.0.1', ready));
    this.#server.unref(); // a proxy that a failed test left open must not keep the run from ending
  }

  #accept(client) {
    const server = connect(this.#target, '127.0.0.1');
    for (const socket of [client, server]) socket.unref();
    const pair = [client, server];
    this.#pairs.add(pair);
    const end = () => {
      if (this.#link.isCut) return; // nobody hears of a closed connection through a pulled cable
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end);
    client.on('data', (bytes) => {
      if (this.#link.isCut) return;
      if (this.#refuseUpgrade && /^upgrade: *websocket/im.test(bytes.toString('latin1'))) {
        client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        server.destroy();
      } else server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (!this.#link.isCut) client.write(bytes);
    });
  }

  resetAll() {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    this.#pairs.clear();
  }

  close() {
    this.resetAll();
    this.#server.close();
  }
}

class UdpSide {
  #link;
  #target;
  #flows = new Map();
  /** All upstream sockets that ever were. */
  #sockets = [];
  #socket = createSocket('udp4');

  constructor(link, target) {
    this.#link = link;
    this.#target = target;
    this.#socket.on('message', (datagram, from) => this.#fromClient(datagram, from));
  }

  get port() {
    return this.#socket.address().port;
  }

  async listen() {
    await new Promise((ready) => this.#socket.bind(0, '127.0.0.1', ready));
    this.#socket.unref();
  }

  #fromClient(datagram, from) {
    const flow = this.#flow(from);
    this.#link.carry('up', datagram, () => flow.socket.send(datagram, this.#target, '127.0.0.1', ignore));
  }

  /** A client address and its upstream socket. */
  #flow(from) {
    const key = `${from.address}:${from.port}`;
    let flow = this.#flows.get(key);
    if (!flow) {
      flow = { address: from.address, port: from.port, socket: null, found: null };
      this.#map(flow);
      this.#flows.set(key, flow);
    }
    return flow;
  }

  /** Gives a flow a new upstream socket. The old one stays open: a closed port would answer, a lost mapping does not. */
  #map(flow) {
    const socket = createSocket('udp4').unref();
    flow.socket = socket;
    this.#sockets.push(socket);
    socket.on('error', ignore);
    socket.on('message', (datagram) => {
      if (flow.socket !== socket) this.#link.counters.down.stale += 1;
      else this.#link.carry('down', datagram, () => this.#toClient(datagram, flow));
    });
  }

  #toClient(datagram, flow) {
    this.#socket.send(datagram, flow.port, flow.address, ignore);
    if (isRtp(datagram)) {
      flow.found?.(performance.now());
      flow.found = null;
    }
  }

  rebind() {
    return Promise.race([...this.#flows.values()].map((flow) => new Promise((found) => {
      this.#map(flow);
      flow.found = found;
    })));
  }

  close() {
    for (const socket of this.#sockets) socket.close();
    this.#socket.close();
  }
}

/** A datagram that cannot be sent is a lost datagram. */
function ignore() {}

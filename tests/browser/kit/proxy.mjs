/**
 * A bad network, seeded: a TCP proxy (pages, API, WebSocket) and a UDP proxy (media) in front of one server.
 *
 * Every client address gets an upstream socket of its own, so that the server sees as many distinct paths as there are
 * clients. `cut` is a cable pulled out: nothing passes in either direction and nobody is told; `heal` plugs it in again, and
 * the TCP connections that were open are reset, as a NAT would by then. `rebind` is a NAT that forgets: every client
 * gets another address towards the server, and what the server still sends to the old one is silently gone.
 *
 * What is impaired (`lane.mjs`) is impaired by direction: `up` is towards the server, `down` towards the client. All
 * clients of a proxy share its link; whoever is to have one alone gets a proxy alone. TCP is delayed as UDP is, and a
 * new connection takes a round trip more, as its handshake would; loss, jitter and the bottleneck act on UDP alone.
 */
import { createSocket } from 'node:dgram';
import { createServer, connect } from 'node:net';
import { Lane } from './lane.mjs';
import { Later } from './later.mjs';

export { PROFILES } from './lane.mjs';
/** @typedef {import('./lane.mjs').Impairment} Impairment */

/**
 * What happens at a time: a direction that is left out stays as it is.
 * @typedef {object} Step
 * @property {number} at ms since the plan began
 * @property {string} name
 * @property {Partial<Impairment>} [up]
 * @property {Partial<Impairment>} [down]
 * @property {'cut' | 'heal' | 'rebind'} [act]
 */

/**
 * @param {object} options
 * @param {number} [options.tcpTarget] port of the server's TCP side
 * @param {number} [options.udpTarget] port of the server's UDP side
 * @param {number} [options.seed]
 * @param {boolean} [options.refuseUpgrade] answer every WebSocket handshake with 403, as some company proxies do
 * @param {(direction: 'up' | 'down', packet: Buffer) => void} [options.sees] is shown every RTP packet as it comes here
 */
export async function startProxy({ tcpTarget, udpTarget, seed = 1, refuseUpgrade = false, sees = () => {} } = {}) {
  console.log(`proxy seed ${seed}`);
  const link = new Link(seed, sees);
  const tcp = tcpTarget && new TcpSide(link, tcpTarget, refuseUpgrade);
  const udp = udpTarget && new UdpSide(link, udpTarget);
  const plans = new Later();
  await Promise.all([tcp?.listen(), udp?.listen()]);
  const acts = {
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
  };
  const take = ({ up, down, act }) => {
    if (up) link.lanes.up.impair(up);
    if (down) link.lanes.down.impair(down);
    if (act) acts[act]();
  };
  return {
    tcpPort: tcp?.port,
    udpPort: udp?.port,
    seed,
    ...acts,
    /** @param {{up?: Partial<Impairment>, down?: Partial<Impairment>}} directions what is left out becomes clear */
    impair: ({ up = {}, down = {} }) => take({ up, down }),
    /**
     * Takes steps as their times come, counted from now.
     * @param {Step[]} steps
     * @returns {Map<string, number>} when each step was taken, by its name; those to come are not in it yet
     */
    plan: (steps) => {
      const began = performance.now();
      const taken = new Map();
      for (const step of steps.toSorted((a, b) => a.at - b.at)) {
        plans.at(began + step.at, () => {
          take(step);
          taken.set(step.name, performance.now());
        });
      }
      return taken;
    },
    /**
     * What came out and what did not, by direction. `passed` counts copies, too, and `duplicated` the datagrams that
     * have one; `lost` is what vanished, alone or in bursts, `overflowed` what found no room in the queue; `lostByType`
     * counts RTP packets of both by payload type; `stale` is what the server sent to an address that was no more.
     */
    counters: () => link.report(),
    /** How long what comes to the bottleneck of a direction now would wait, in ms. @param {'up' | 'down'} direction */
    queue: (direction) => link.lanes[direction].queueAt(performance.now()),
    close: () => {
      plans.clear();
      tcp?.close();
      udp?.close();
    },
  };
}

/** The state that both sides share: is the cable in, and how bad is it. */
class Link {
  isCut = false;
  lanes;
  #sees;
  #counters = { up: counters(), down: { ...counters(), stale: 0 } };

  constructor(seed, sees) {
    this.#sees = sees;
    // A generator for each direction: traffic one way does not change the luck of the other.
    this.lanes = { up: new Lane(seed), down: new Lane(seed + 1) };
  }

  /**
   * Gives the datagram to `send`, now, later, twice or never.
   * @param {'up' | 'down'} direction
   * @param {Buffer} datagram
   * @param {Later} later
   * @param {() => void} send
   * @param {() => boolean} isStale whether it is for an address that is no more
   */
  carry(direction, datagram, later, send, isStale = () => false) {
    if (isRtp(datagram)) this.#sees(direction, datagram);
    const lane = this.lanes[direction];
    const counters = this.#counters[direction];
    if (this.isCut) counters.cut += 1;
    else if (isStale()) counters.stale += 1;
    else if (lane.impairment.drops(datagram)) counters.refused += 1;
    else {
      const { fate, arrivals } = lane.carry(performance.now(), datagram.length);
      if (fate !== 'passes') {
        counters[fate] += 1;
        if (isRtp(datagram)) {
          const type = datagram[1] & 0x7f;
          counters.lostByType[type] = (counters.lostByType[type] ?? 0) + 1;
        }
      }
      if (arrivals.length > 1) counters.duplicated += 1;
      for (const arrival of arrivals) {
        later.at(arrival, () => {
          if (this.isCut) counters.cut += 1;
          else if (isStale()) counters.stale += 1;
          else {
            counters.passed += 1;
            send();
          }
        });
      }
    }
  }

  report() {
    const report = structuredClone(this.#counters);
    for (const direction of ['up', 'down']) {
      const lane = this.lanes[direction];
      Object.assign(report[direction], { longestWaitMs: lane.longestWaitMs, p95WaitMs: lane.waitOf(0.95) });
    }
    return report;
  }
}

function counters() {
  return { passed: 0, duplicated: 0, lost: 0, overflowed: 0, cut: 0, refused: 0, lostByType: {} };
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
    const { up, down } = this.#link.lanes;
    // The first octet leaves after a round trip.
    const opensAt = performance.now() + 2 * up.impairment.delayMs + down.impairment.delayMs;
    const server = connect(this.#target, '127.0.0.1');
    const pair = { client, server, up: new Stream(this.#link, 'up', opensAt), down: new Stream(this.#link, 'down', 0) };
    this.#pairs.add(pair);
    const end = () => {
      pair.up.clear();
      pair.down.clear();
      this.#pairs.delete(pair);
      client.destroySoon();
      server.destroySoon();
    };
    for (const socket of [client, server]) socket.unref().setNoDelay(true).on('error', ignore);
    // Behind all that was said before; and nobody hears of a closed connection through a pulled cable.
    client.on('close', () => pair.up.carry(end));
    server.on('close', () => pair.down.carry(end));
    client.on('data', (bytes) => pair.up.carry(() => {
      if (this.#refuseUpgrade && /^upgrade: *websocket/im.test(bytes.toString('latin1'))) {
        pair.down.carry(() => client.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
        server.destroy();
      } else server.write(bytes);
    }));
    server.on('data', (bytes) => pair.down.carry(() => client.write(bytes)));
  }

  resetAll() {
    for (const { client, server, up, down } of this.#pairs) {
      up.clear();
      down.clear();
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

/** One way of a TCP connection: everything as late as the link is long, and in its order. */
class Stream {
  #link;
  #direction;
  #last;
  #later = new Later();

  constructor(link, direction, opensAt) {
    this.#link = link;
    this.#direction = direction;
    this.#last = opensAt;
  }

  carry(deliver) {
    if (this.#link.isCut) return;
    const { delayMs } = this.#link.lanes[this.#direction].impairment;
    this.#last = Math.max(this.#last, performance.now() + delayMs);
    this.#later.at(this.#last, () => {
      if (!this.#link.isCut) deliver();
    });
  }

  clear() {
    this.#later.clear();
  }
}

class UdpSide {
  #link;
  #target;
  #flows = new Map();
  /** All upstream sockets that ever were. */
  #sockets = [];
  #socket = createSocket('udp4');
  #later = { up: new Later(), down: new Later() };

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
    const send = () => flow.socket.send(datagram, this.#target, '127.0.0.1', ignore);
    this.#link.carry('up', datagram, this.#later.up, send);
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
      // The NAT may forget an address while a datagram is on its way.
      const isStale = () => flow.socket !== socket;
      this.#link.carry('down', datagram, this.#later.down, () => this.#toClient(datagram, flow), isStale);
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
    this.#later.up.clear();
    this.#later.down.clear();
    for (const socket of this.#sockets) socket.close();
    this.#socket.close();
  }
}

/** A datagram that cannot be sent is a lost datagram. */
function ignore() {}

/**
 * One direction of a bad link, without sockets or clocks: for each datagram, whether it arrives, when, and how often.
 *
 * Loss comes before the bottleneck: what is lost took none of its capacity. What a datagram weighs is its UDP payload.
 * The profiles are the ones that the calls' quality is measured on; the simulation of the engine has the same.
 */
import { random } from './random.mjs';

/**
 * @typedef {object} Impairment
 * @property {number} loss the share of datagrams that vanish, each on its own, 0..1
 * @property {{share: number, length: number} | null} bursts datagrams that vanish in runs, besides (Gilbert-Elliott,
 *   with bad times in which nothing arrives): their share, and how many a run has on average
 * @property {number} delayMs every datagram takes at least this long; TCP, too
 * @property {number} jitterMs ... and up to this much longer. How much changes every 10 to 40 ms, and what would
 *   overtake waits: datagrams bunch up in order, as behind the queues that real jitter comes from
 * @property {boolean} reorder each datagram has a jitter of its own instead, and overtakes
 * @property {number} duplicates the share of datagrams that come twice
 * @property {number} rateKbps capacity of the bottleneck; 0: no bottleneck
 * @property {number} queueMs what would wait before the bottleneck for longer than this is dropped
 * @property {(datagram: Buffer) => boolean} drops a firewall's rule: what it says yes to does not pass
 */

/** @type {Readonly<Impairment>} */
export const CLEAR = Object.freeze({
  loss: 0,
  bursts: null,
  delayMs: 0,
  jitterMs: 0,
  reorder: false,
  duplicates: 0,
  rateKbps: 0,
  queueMs: 0,
  drops: () => false,
});

/** A link that is as bad both ways. Round-trip times are shared out evenly; loss and jitter are each direction's. */
const bothWays = (oneWay) => Object.freeze({ up: oneWay, down: oneWay });

/** @type {Readonly<Record<string, {up: Partial<Impairment>, down: Partial<Impairment>}>>} */
export const PROFILES = Object.freeze({
  /** 20 ms round trip, clean. */
  A: bothWays({ delayMs: 10 }),
  /** 50 ms round trip, 1 % loss, 10 ms jitter. */
  B: bothWays({ delayMs: 25, jitterMs: 10, loss: 0.01 }),
  /** 150 ms round trip, 5 % loss in bursts, 30 ms jitter. */
  C: bothWays({ delayMs: 75, jitterMs: 30, bursts: { share: 0.05, length: 4 } }),
  /** 10 % random loss, at the distance of B. */
  D: bothWays({ delayMs: 25, loss: 0.1 }),
  /** The worst that D may be. */
  D20: bothWays({ delayMs: 25, loss: 0.2 }),
});

/** Waits are counted by whole milliseconds up to this; what is longer counts as this. */
const WAIT_MAX_MS = 2_000;

/** One direction. */
export class Lane {
  /** The longest that a datagram has waited before the bottleneck, in ms. */
  longestWaitMs = 0;
  /** How many datagrams came to a bottleneck, by how long they waited there; who found no room counts as the whole queue. */
  #waits = new Uint32Array(WAIT_MAX_MS + 1);
  #impairment = CLEAR;
  #random;
  #inBurst = false;
  #freeAt = 0;
  #jitter = 0;
  #jitterUntil = 0;
  #lastArrival = 0;

  constructor(seed) {
    this.#random = random(seed);
  }

  get impairment() {
    return this.#impairment;
  }

  /** What is left out becomes clear. What already waits before the bottleneck still leaves at the old pace. */
  impair(impairment) {
    const unknown = Object.keys(impairment).filter((key) => !(key in CLEAR));
    if (unknown.length > 0) throw new Error(`no such impairment: ${unknown}`);
    this.#impairment = { ...CLEAR, ...impairment };
  }

  /** What waits before the bottleneck at a moment, in ms. */
  queueAt(now) {
    return Math.max(0, this.#freeAt - now);
  }

  /** What this share of all datagrams that came to a bottleneck waited at most, in ms; null: there was none. */
  waitOf(share) {
    const wanted = share * this.#waits.reduce((sum, count) => sum + count, 0);
    if (wanted === 0) return null;
    let seen = 0;
    return this.#waits.findIndex((count) => (seen += count) >= wanted);
  }

  /**
   * @param {number} now in ms
   * @param {number} octets
   * @returns {{fate: 'passes' | 'lost' | 'overflowed', arrivals: number[]}} when it arrives; twice if it is duplicated
   */
  carry(now, octets) {
    if (this.#isLost()) return { fate: 'lost', arrivals: [] };
    const leaves = this.#passBottleneck(now, octets);
    if (leaves === null) return { fate: 'overflowed', arrivals: [] };
    const arrivals = [this.#arrival(leaves)];
    if (this.#chance(this.#impairment.duplicates)) arrivals.push(this.#arrival(leaves));
    return { fate: 'passes', arrivals };
  }

  /** Throws no dice for what cannot happen: what is not impaired does not change the luck of what is. */
  #chance(share) {
    return share > 0 && this.#random() < share;
  }

  #isLost() {
    const { bursts, loss } = this.#impairment;
    if (bursts) {
      const end = 1 / bursts.length;
      const begin = (bursts.share * end) / (1 - bursts.share);
      this.#inBurst = this.#chance(this.#inBurst ? 1 - end : begin);
    } else this.#inBurst = false;
    return this.#inBurst || this.#chance(loss);
  }

  /** When it has left the bottleneck; null when the queue has no room. */
  #passBottleneck(now, octets) {
    const { rateKbps, queueMs } = this.#impairment;
    if (rateKbps <= 0) return now;
    const begins = Math.max(this.#freeAt, now);
    const wait = begins - now;
    this.#waits[Math.min(Math.ceil(Math.min(wait, queueMs)), WAIT_MAX_MS)] += 1;
    if (wait > queueMs) return null;
    this.longestWaitMs = Math.max(this.longestWaitMs, wait);
    this.#freeAt = begins + (octets * 8) / rateKbps;
    return this.#freeAt;
  }

  #arrival(leaves) {
    const { delayMs, reorder } = this.#impairment;
    const arrives = leaves + delayMs + this.#jitterAt(leaves);
    if (reorder) return arrives;
    this.#lastArrival = Math.max(this.#lastArrival, arrives);
    return this.#lastArrival;
  }

  #jitterAt(now) {
    const { jitterMs, reorder } = this.#impairment;
    if (jitterMs <= 0) return 0;
    if (reorder) return this.#random() * jitterMs;
    if (now >= this.#jitterUntil) {
      this.#jitter = this.#random();
      this.#jitterUntil = now + 10 + 30 * this.#random();
    }
    return this.#jitter * jitterMs;
  }
}

/**
 * One lasting conversation with the server over connections that come and go.
 *
 * Why: a person should notice a lost connection as a line of text and nothing else. So everything that decides is
 * here and free of the browser (carriers, clock and chance are handed in): hello first, resume by cursor, silence
 * detection, back-off, the change to long poll, answers matched to requests, and the resend of what must not be lost.
 *
 *   carriers.js -> received -> parse -> handlers.receive (reducer)
 *   call.js -> request / send -> carrier;  durable requests outlive the carrier and go out again after `welcome`
 */

import { backoff } from './backoff.js';
import { hello, parseServerMessage, ping, pong } from './messages.js';

/** @import { AckMessage, AnswerMessage, ClientMessage, ClientRequest, ServerMessage } from './messages.js' */
/** @import { Carrier, CarrierEvents } from './carriers.js' */

/**
 * @typedef {object} ConnectionEnv
 * @property {(events: CarrierEvents) => Carrier} openSocket
 * @property {(token: string, events: CarrierEvents) => Carrier} openPoll
 * @property {(run: () => void, ms: number) => number} setTimer
 * @property {(id: number) => void} clearTimer
 * @property {() => number} now Milliseconds.
 * @property {() => number} random From 0 up to 1.
 */
/** @typedef {'socket' | 'poll'} Transport_ */
/** @typedef {{ phase: 'connecting' | 'lobby' | 'open' | 'waiting', attempt: number, transport: Transport_ }} Link */
/** @typedef {'removed' | 'meetingEnded' | 'replaced' | 'denied' | 'lobbyTimeout' | 'refused' | 'closed'} EndReason */
/**
 * @typedef {object} ConnectionHandlers
 * @property {() => number} cursor The last sequence seen.
 * @property {(message: ServerMessage) => void} receive
 * @property {(link: Link) => void} link
 * @property {(reason: EndReason) => void} ended It will not come back by itself.
 */
/**
 * @typedef {object} Pending
 * @property {ClientRequest} message
 * @property {boolean} durable
 * @property {boolean} early
 * @property {number} timeoutMs
 * @property {number | null} timer Runs only while the request is under way.
 * @property {number} sentIn The generation in which it went out last; 0 before that.
 * @property {(answer: AckMessage | AnswerMessage) => void} resolve
 * @property {(error: RequestError) => void} reject
 */

/** No frame for this long: the connection is lost (the server pings every 10 s). */
export const SILENCE_MAX_MS = 20_000;
/** After this much silence we ask ourselves. */
const SILENCE_PING_MS = 10_000;
const WATCH_EVERY_MS = 2_500;
/** From the start of an attempt to `welcome`. */
const WELCOME_MAX_MS = 10_000;
/** How soon an answer must come after the browser says that the network changed. */
const PROBE_MAX_MS = 4_000;
/** A connection that lived shorter than this does not reset the back-off. */
const STABLE_AFTER_MS = 5_000;
/** WebSocket attempts without `welcome` before the long poll is tried. */
const SOCKET_FAILURES_MAX = 2;
const REQUEST_TIMEOUT_MS = 10_000;

/** @type {Readonly<Record<number, EndReason>>} Close codes after which coming back is of no use. */
const FINAL_CODES = { 4001: 'refused', 4003: 'removed', 4004: 'replaced', 4006: 'meetingEnded', 4008: 'denied' };

export class RequestError extends Error {
  /** @param {string} code @param {string} [message] */
  constructor(code, message = code) {
    super(message);
    this.name = 'RequestError';
    this.code = code;
  }
}

export class Connection {
  /** @type {ConnectionEnv} */ #env;
  /** @type {ConnectionHandlers} */ #handlers;
  /** @type {string | Promise<string>} */ #token = '';
  /** @type {Carrier | null} */ #carrier = null;
  /** Grows with every attempt, so that late news of an old carrier is told apart. */
  #generation = 0;
  /** The hello is out. */
  #greeted = false;
  #welcomed = false;
  /** Waits in the lobby: the connection stands, and only the welcome is missing. */
  #waits = false;
  #over = false;
  #attempt = 0;
  #socketFailures = 0;
  /** @type {Transport_} */ #transport = 'socket';
  #lastFrameAt = 0;
  #welcomedAt = 0;
  /** @type {number | null} */ #deadline = null;
  /** @type {number | null} */ #retry = null;
  /** @type {number | null} */ #watch = null;
  #nextId = 1;
  /** @type {Map<number, Pending>} */ #pending = new Map();

  /** @param {ConnectionEnv} env @param {ConnectionHandlers} handlers */
  constructor(env, handlers) {
    this.#env = env;
    this.#handlers = handlers;
  }

  /**
   * Opens the first carrier at once; the token may still be on its way (it costs no extra round trip then).
   *
   * @param {string | Promise<string>} token
   */
  start(token) {
    this.#token = token;
    // Whoever made the promise also hears of its failure; here it only must not count as unhandled.
    if (typeof token !== 'string') token.catch(() => this.close());
    this.#connect();
  }

  /** Something was said on this carrier that counts. */
  get #stands() {
    return this.#welcomed || this.#waits;
  }

  get isOpen() {
    return this.#welcomed && !this.#over;
  }

  /** Sends without expecting an answer; nothing is kept when there is no connection. @param {ClientMessage} message */
  send(message) {
    if (this.isOpen) this.#carrier?.send(message);
  }

  /**
   * Sends a request and gives its `ack` or `answer`.
   *
   * @param {(id: number) => ClientRequest} build
   * @param {{ durable?: boolean, early?: boolean, timeoutMs?: number }} [options] A durable request waits for a
   *   connection, and is sent again on the next one until it is answered: only for requests that the server recognises
   *   when repeated. An early one follows the hello and is a round trip sooner than one that waits for the welcome; the
   *   server takes messages in order.
   * @returns {Promise<AckMessage | AnswerMessage>}
   */
  request(build, { durable = false, early = false, timeoutMs = REQUEST_TIMEOUT_MS } = {}) {
    const message = build(this.#nextId++);
    return new Promise((resolve, reject) => {
      if (this.#over || (!this.isOpen && !durable && !early)) {
        reject(new RequestError('not_connected'));
        return;
      }
      /** @type {Pending} */
      const pending = { message, durable, early, timeoutMs, timer: null, sentIn: 0, resolve, reject };
      this.#pending.set(message.id, pending);
      if (this.isOpen || (early && this.#greeted)) this.#dispatch(pending);
    });
  }

  /** The network came back or changed: do not wait out the back-off, and do not trust an old connection. */
  networkChanged() {
    if (this.#over) return;
    if (this.#retry !== null) {
      this.#connect();
    } else if (this.#stands) {
      this.#carrier?.send(ping());
      const asked = this.#env.now();
      const generation = this.#generation;
      this.#env.setTimer(() => {
        if (generation === this.#generation && this.#lastFrameAt < asked) this.#lose();
      }, PROBE_MAX_MS);
    }
  }

  /** Gives up the present connection and resumes from the cursor. */
  resync() {
    if (!this.#over && this.#carrier) this.#lose();
  }

  /** Ends for good, from this side. */
  close() {
    this.#finish('closed');
  }

  #connect() {
    this.#clearTimers();
    const generation = ++this.#generation;
    this.#greeted = false;
    this.#welcomed = false;
    this.#waits = false;
    this.#handlers.link({ phase: 'connecting', attempt: this.#attempt, transport: this.#transport });
    this.#deadline = this.#env.setTimer(() => this.#lose(), WELCOME_MAX_MS);
    /** @type {CarrierEvents} */
    const events = {
      opened: () => void this.#greet(generation),
      received: (value) => {
        if (generation === this.#generation) this.#receive(value);
      },
      ended: (code) => {
        if (generation === this.#generation) this.#ended(code);
      },
    };
    if (this.#transport === 'socket') {
      this.#carrier = this.#env.openSocket(events);
    } else {
      void this.#openPoll(generation, events);
    }
  }

  /** @param {number} generation @param {CarrierEvents} events */
  async #openPoll(generation, events) {
    const token = await this.#token;
    if (generation === this.#generation && !this.#over) this.#carrier = this.#env.openPoll(token, events);
  }

  /** @param {number} generation */
  async #greet(generation) {
    const token = typeof this.#token === 'string' ? this.#token : await this.#token.catch(() => null);
    if (token === null || generation !== this.#generation || this.#over) return;
    this.#token = token;
    this.#carrier?.send(hello(token, this.#handlers.cursor()));
    this.#greeted = true;
    this.#sendWaiting(({ early }) => early);
  }

  /** @param {unknown} value */
  #receive(value) {
    this.#lastFrameAt = this.#env.now();
    const message = parseServerMessage(value);
    if (message === null) return;
    switch (message.type) {
      case 'ping':
        this.#carrier?.send(pong());
        return;
      case 'pong':
        return;
      case 'welcome':
        this.#open();
        break;
      case 'lobby':
        this.#wait();
        break;
      case 'ack':
      case 'answer':
        this.#settle(message.id)?.resolve(message);
        break;
      case 'error':
        if (message.id !== undefined) {
          this.#settle(message.id)?.reject(new RequestError(message.code, message.message));
        }
        break;
      case 'resync':
        this.resync();
        return;
      case 'removed':
        this.#finish(message.reason);
        return;
      default:
        break;
    }
    this.#handlers.receive(message);
    if (message.type === 'welcome') this.#sendWaiting(() => true);
  }

  #open() {
    this.#stand('open');
    this.#welcomed = true;
    this.#waits = false;
  }

  /** Somebody decides when the welcome comes. */
  #wait() {
    this.#stand('lobby');
    this.#waits = true;
  }

  /** @param {'open' | 'lobby'} phase */
  #stand(phase) {
    if (!this.#stands) this.#welcomedAt = this.#env.now();
    if (this.#transport === 'socket') this.#socketFailures = 0;
    if (this.#deadline !== null) this.#env.clearTimer(this.#deadline);
    this.#deadline = null;
    this.#handlers.link({ phase, attempt: 0, transport: this.#transport });
    if (this.#watch === null) this.#listen();
  }

  #listen() {
    this.#watch = this.#env.setTimer(() => {
      const silence = this.#env.now() - this.#lastFrameAt;
      if (silence >= SILENCE_MAX_MS) {
        this.#lose();
        return;
      }
      if (silence >= SILENCE_PING_MS) this.#carrier?.send(ping());
      this.#listen();
    }, WATCH_EVERY_MS);
  }

  /** Sends what is not under way on this carrier already. @param {(pending: Pending) => boolean} which */
  #sendWaiting(which) {
    for (const pending of this.#pending.values()) {
      if (pending.sentIn !== this.#generation && which(pending)) this.#dispatch(pending);
    }
  }

  /** @param {Pending} pending */
  #dispatch(pending) {
    pending.sentIn = this.#generation;
    this.#carrier?.send(pending.message);
    pending.timer = this.#env.setTimer(() => {
      this.#pending.delete(pending.message.id);
      pending.reject(new RequestError('timeout'));
    }, pending.timeoutMs);
  }

  /** @param {number} id */
  #settle(id) {
    const pending = this.#pending.get(id);
    if (!pending) return null;
    this.#pending.delete(id);
    if (pending.timer !== null) this.#env.clearTimer(pending.timer);
    return pending;
  }

  /** @param {number} code */
  #ended(code) {
    const reason = FINAL_CODES[code];
    if (reason === undefined) this.#lose();
    else this.#finish(reason);
  }

  /** The carrier is of no more use; another one is tried after a pause. */
  #lose() {
    if (this.#over) return;
    const lived = this.#stands ? this.#env.now() - this.#welcomedAt : 0;
    if (!this.#stands) this.#chooseTransport();
    if (lived >= STABLE_AFTER_MS) this.#attempt = 0;
    this.#drop();
    this.#attempt += 1;
    this.#handlers.link({ phase: 'waiting', attempt: this.#attempt, transport: this.#transport });
    this.#retry = this.#env.setTimer(() => this.#connect(), backoff(this.#attempt, this.#env.random()));
  }

  /** A poll that fails as well means that the server is away, not that WebSockets are blocked: start over. */
  #chooseTransport() {
    if (this.#transport === 'poll') {
      this.#transport = 'socket';
      this.#socketFailures = 0;
    } else if (++this.#socketFailures >= SOCKET_FAILURES_MAX) {
      this.#transport = 'poll';
    }
  }

  #drop() {
    this.#clearTimers();
    this.#generation += 1;
    this.#greeted = false;
    this.#welcomed = false;
    this.#waits = false;
    const carrier = this.#carrier;
    this.#carrier = null;
    carrier?.close();
    for (const pending of [...this.#pending.values()]) {
      if (pending.timer !== null) this.#env.clearTimer(pending.timer);
      pending.timer = null;
      if (pending.durable && !this.#over) continue;
      this.#pending.delete(pending.message.id);
      pending.reject(new RequestError('connection_lost'));
    }
  }

  /** @param {EndReason} reason */
  #finish(reason) {
    if (this.#over) return;
    this.#over = true;
    this.#drop();
    this.#handlers.ended(reason);
  }

  #clearTimers() {
    for (const timer of [this.#deadline, this.#retry, this.#watch]) {
      if (timer !== null) this.#env.clearTimer(timer);
    }
    this.#deadline = null;
    this.#retry = null;
    this.#watch = null;
  }
}

/**
 * One lasting subscription to what happens in all chats, over connections that come and go.
 *
 * Why one cursor for both ways: whichever of WebSocket and long poll tells something, it also tells how far that was,
 * and the other goes on from there. So the change between them loses nothing; what comes twice is known by its seq.
 *
 *   WebSocket --subscribe(cursor)--> messages --+
 *        ^  fails twice | a probe succeeds      +--> parse -> handlers.receive -> state/chats.js
 *        +---- long poll (cursor, wait) --------+
 *
 * Everything of the browser is handed in, so that the tests need neither network nor time.
 */

import { backoff } from './backoff.js';
import { TOKEN_REFUSED } from './carriers.js';
import { parseFeedMessage, subscribe } from './feed-messages.js';
import { ApiError } from './http.js';
import { ping, pong } from './messages.js';

/** @import { Carrier, CarrierEvents } from './carriers.js' */
/** @import { Link, Transport_ } from './connection.js' */
/** @import { News } from './feed-messages.js' */

/** @typedef {{ value: unknown[], cursor: string }} PollPage */
/**
 * @typedef {object} FeedEnv
 * @property {(events: CarrierEvents) => Carrier} openSocket
 * @property {(cursor: string | null, waitSeconds: number, signal: AbortSignal) => Promise<PollPage>} poll
 * @property {(run: () => void, ms: number) => number} setTimer
 * @property {(id: number) => void} clearTimer
 * @property {() => number} now Milliseconds.
 * @property {() => number} random From 0 up to 1.
 */
/**
 * @typedef {object} FeedHandlers
 * @property {(message: News) => void} receive
 * @property {() => void} reload The feed begins here: what was before is read from the lists.
 * @property {(link: Link) => void} link
 * @property {() => void} refused Nobody is signed in any more.
 */

/** No frame for this long: the connection is lost (the server pings every 10 s). */
export const FEED_SILENCE_MAX_MS = 25_000;
const SILENCE_PING_MS = 12_000;
const WATCH_EVERY_MS = 2_500;
/** From the start of an attempt to `subscribed`. */
export const SUBSCRIBED_MAX_MS = 10_000;
const PROBE_MAX_MS = 4_000;
const STABLE_AFTER_MS = 5_000;
/** WebSocket attempts without `subscribed` before the long poll is tried. */
const SOCKET_FAILURES_MAX = 2;
/** How often, while polling, a WebSocket is tried again. */
export const SOCKET_AGAIN_MS = 60_000;
/** Polls without news come no faster than this. */
const POLL_EVERY_MS = 1_000;
/** Seconds that the server may hold a poll. */
export const FEED_POLL_WAIT_SECONDS = 25;

export class Feed {
  /** @type {FeedEnv} */ #env;
  /** @type {FeedHandlers} */ #handlers;
  /** @type {string | null} */ #cursor = null;
  /** @type {Transport_} */ #transport = 'socket';
  /** @type {Carrier | null} */ #socket = null;
  /** @type {AbortController | null} */ #polling = null;
  /** Grows with every attempt, so that late news of an old socket is told apart. */
  #generation = 0;
  #open = false;
  #over = false;
  #attempt = 0;
  #socketFailures = 0;
  #openedAt = 0;
  #heardAt = 0;
  /** @type {Set<number>} Of the present attempt. */ #timers = new Set();

  /** @param {FeedEnv} env @param {FeedHandlers} handlers */
  constructor(env, handlers) {
    this.#env = env;
    this.#handlers = handlers;
  }

  get isOpen() {
    return this.#open && !this.#over;
  }

  start() {
    this.#connect();
  }

  close() {
    this.#over = true;
    this.#drop();
  }

  /** The network came back or changed: do not wait out the back-off, and do not trust an old connection. */
  networkChanged() {
    if (this.#over) return;
    if (!this.#open) {
      if (this.#socket === null && this.#polling === null) this.#connect();
    } else if (this.#transport === 'socket') {
      this.#socket?.send(ping());
      const asked = this.#env.now();
      this.#after(PROBE_MAX_MS, () => {
        if (this.#heardAt < asked) this.#lose();
      });
    } else {
      // A poll that was under way through another network may never be answered.
      this.#polling?.abort();
      void this.#pollOn();
    }
  }

  #connect() {
    this.#drop();
    this.#tell('connecting', this.#attempt);
    if (this.#transport === 'poll') void this.#pollOn();
    else this.#openSocket(() => this.#lose());
  }

  /** @param {() => void} failed */
  #openSocket(failed) {
    const generation = ++this.#generation;
    const isCurrent = () => generation === this.#generation && !this.#over;
    const deadline = this.#after(SUBSCRIBED_MAX_MS, () => isCurrent() && failed());
    this.#heardAt = this.#env.now();
    /** @type {Carrier} */
    const socket = this.#env.openSocket({
      opened: () => isCurrent() && socket.send(subscribe(this.#cursor)),
      received: (value) => {
        if (!isCurrent()) return;
        this.#heardAt = this.#env.now();
        const message = parseFeedMessage(value);
        if (message?.type === 'ping') socket.send(pong());
        else if (message?.type === 'subscribed') {
          this.#cancel(deadline);
          this.#socketOpened(message.cursor);
        } else if (message) this.#take(message);
      },
      ended: (code) => {
        if (!isCurrent()) return;
        if (code === TOKEN_REFUSED) this.#refuse();
        else failed();
      },
    });
    this.#socket = socket;
  }

  /** @param {string} cursor */
  #socketOpened(cursor) {
    this.#polling?.abort();
    this.#polling = null;
    this.#transport = 'socket';
    this.#socketFailures = 0;
    this.#opened(cursor);
    this.#watch();
  }

  #watch() {
    this.#after(WATCH_EVERY_MS, () => {
      const silence = this.#env.now() - this.#heardAt;
      if (silence >= FEED_SILENCE_MAX_MS) {
        this.#lose();
        return;
      }
      if (silence >= SILENCE_PING_MS) this.#socket?.send(ping());
      this.#watch();
    });
  }

  async #pollOn() {
    // The first answer comes at once: it says whether there is a way at all.
    let wait = 0;
    const polling = new AbortController();
    this.#polling = polling;
    try {
      while (!polling.signal.aborted) {
        const asked = this.#env.now();
        const { value, cursor } = await this.#env.poll(this.#cursor, wait, polling.signal);
        // A socket may have taken over while this was under way; it tells the same.
        if (polling.signal.aborted) return;
        if (!this.#open) this.#pollOpened(cursor);
        for (const message of value) {
          const known = parseFeedMessage(message);
          if (known) this.#take(known);
        }
        this.#cursor = cursor;
        // Something on the way that does not let anybody wait must not make this a tight loop.
        if (wait > 0 && value.length === 0 && this.#env.now() - asked < POLL_EVERY_MS) await this.#pause(POLL_EVERY_MS);
        wait = FEED_POLL_WAIT_SECONDS;
      }
    } catch (error) {
      if (polling.signal.aborted) return;
      if (error instanceof ApiError && error.status === 401) this.#refuse();
      else this.#lose();
    }
  }

  /** @param {string} cursor */
  #pollOpened(cursor) {
    this.#opened(cursor);
    this.#probeLater();
  }

  /** Looks now and then whether WebSockets work by now. The poll goes on until one does. */
  #probeLater() {
    this.#after(SOCKET_AGAIN_MS, () => {
      this.#openSocket(() => {
        this.#closeSocket();
        this.#probeLater();
      });
    });
  }

  /** @param {string} cursor */
  #opened(cursor) {
    const begins = this.#cursor === null;
    this.#cursor ??= cursor;
    if (!this.#open) this.#openedAt = this.#env.now();
    this.#open = true;
    this.#tell('open', 0);
    if (begins) this.#handlers.reload();
  }

  /** @param {import('./feed-messages.js').FeedMessage} message */
  #take(message) {
    switch (message.type) {
      case 'chatEvent':
      case 'chatRead':
        this.#cursor = message.cursor;
        this.#handlers.receive(message);
        return;
      case 'typing':
        this.#handlers.receive(message);
        return;
      case 'resync':
        this.#cursor = message.cursor;
        this.#handlers.reload();
        return;
      default:
        return;
    }
  }

  /** This way is of no more use; another attempt follows after a pause. */
  #lose() {
    if (this.#over) return;
    if (this.#open && this.#env.now() - this.#openedAt >= STABLE_AFTER_MS) this.#attempt = 0;
    this.#chooseTransport();
    this.#drop();
    this.#attempt += 1;
    this.#tell('waiting', this.#attempt);
    this.#after(backoff(this.#attempt, this.#env.random()), () => this.#connect());
  }

  /** A poll that fails as well means that the server is away, not that WebSockets are blocked: start over. */
  #chooseTransport() {
    if (this.#transport === 'poll') {
      this.#transport = 'socket';
      this.#socketFailures = 0;
    } else if (!this.#open && ++this.#socketFailures >= SOCKET_FAILURES_MAX) {
      this.#transport = 'poll';
    }
  }

  #refuse() {
    if (this.#over) return;
    this.close();
    this.#handlers.refused();
  }

  #drop() {
    for (const timer of this.#timers) this.#env.clearTimer(timer);
    this.#timers.clear();
    this.#open = false;
    this.#polling?.abort();
    this.#polling = null;
    this.#closeSocket();
  }

  #closeSocket() {
    this.#generation += 1;
    this.#socket?.close();
    this.#socket = null;
  }

  /** @param {Link['phase']} phase @param {number} attempt */
  #tell(phase, attempt) {
    this.#handlers.link({ phase, attempt, transport: this.#transport });
  }

  /** A timer of the present attempt. @param {number} ms @param {() => void} run */
  #after(ms, run) {
    const timer = this.#env.setTimer(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  /** @param {number} ms @returns {Promise<void>} */
  #pause(ms) {
    return new Promise((go) => this.#after(ms, go));
  }

  /** @param {number} timer */
  #cancel(timer) {
    this.#timers.delete(timer);
    this.#env.clearTimer(timer);
  }
}

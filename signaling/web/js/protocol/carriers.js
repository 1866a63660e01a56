/**
 * The two ways in which live messages travel: WebSocket and long poll.
 *
 * Why one face for both: `connection.js` then holds every decision (hello, resend, back-off) once, and its tests need
 * no network. A carrier opens itself, hands over what comes and reports its end exactly once.
 *
 *   connection.js -> send -> [WebSocket | POST /v1/live/poll] -> received / ended -> connection.js
 */

import { SUBPROTOCOL } from './messages.js';
import { ApiError, poll } from './http.js';

/**
 * @typedef {object} CarrierEvents
 * @property {() => void} opened Ready for `hello`.
 * @property {(value: unknown) => void} received One parsed JSON value.
 * @property {(code: number) => void} ended A close code as the protocol lists them; 1006 for an unclean end.
 */
/** @typedef {{ send(message: object): void, close(): void }} Carrier */

export const UNCLEAN_END = 1006;
export const TOKEN_REFUSED = 4001;
export const REMOVED = 4003;
/** Seconds that the server may hold a poll; its limit is 25. */
const POLL_WAIT_SECONDS = 25;
/** Messages that one poll may carry; the rest goes with the next. */
const POLL_SEND_MAX = 64;
/** Some proxies hold answers longer than promised; past this a poll counts as lost. */
const POLL_DEADLINE_MS = 40_000;

/** @param {string} url */
export const openSocket = (url) => new WebSocket(url, SUBPROTOCOL);

/** @param {WebSocket} socket Opened just now, or some time ago. @param {CarrierEvents} events @returns {Carrier} */
export function socketCarrier(socket, events) {
  let over = false;
  /** @param {number} code */
  const end = (code) => {
    if (over) return;
    over = true;
    events.ended(code);
  };
  const opened = () => {
    if (!over) events.opened();
  };
  if (socket.readyState === WebSocket.OPEN) queueMicrotask(opened);
  else socket.onopen = opened;
  socket.onmessage = ({ data }) => {
    if (over) return;
    /** @type {unknown} */
    let value = null;
    try {
      value = JSON.parse(String(data));
    } catch {
      return;
    }
    events.received(value);
  };
  socket.onclose = ({ code }) => end(code);
  return {
    send: (message) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    },
    close: () => {
      over = true;
      socket.close(1000);
    },
  };
}

/** @typedef {(body: object, signal: AbortSignal) => Promise<import('./http.js').PollAnswer>} Exchange */

/**
 * The long poll. What is to be sent goes out at once in a poll of its own that does not wait, one after the other so
 * that the order holds; beside it one idle poll waits for news, and is ended by the server when a newer one comes.
 *
 * @param {Exchange} exchange
 * @param {CarrierEvents} events
 * @returns {Carrier}
 */
export function pollCarrier(exchange, events) {
  const abort = new AbortController();
  /** @type {object[]} */
  let outbox = [];
  /** @type {string | null} */
  let session = null;
  let received = 0;
  let sending = false;
  let idling = false;
  let over = false;

  /** @param {number} code */
  const end = (code) => {
    if (over) return;
    over = true;
    abort.abort();
    events.ended(code);
  };

  /** @param {object[]} send @param {number} wait */
  const round = async (send, wait) => {
    const answer = await exchange({ session, after: received, send, wait }, abort.signal);
    if (over) return;
    session = answer.session;
    // Two polls may be under way, and unacknowledged messages are given again: take only what is new.
    const first = answer.next - answer.messages.length + 1;
    answer.messages.forEach((message, index) => {
      const number = first + index;
      if (over || number <= received) return;
      received = number;
      events.received(message);
    });
    received = Math.max(received, answer.next);
    if (answer.closed) end(answer.closed);
  };

  /** @param {unknown} error */
  const fail = (error) => {
    const status = error instanceof ApiError ? error.status : 0;
    end(status === 401 ? TOKEN_REFUSED : status === 403 ? REMOVED : UNCLEAN_END);
  };

  const flush = async () => {
    if (sending || over) return;
    sending = true;
    try {
      while (outbox.length > 0 && !over) {
        const batch = outbox.slice(0, POLL_SEND_MAX);
        outbox = outbox.slice(POLL_SEND_MAX);
        await round(batch, 0);
      }
    } catch (error) {
      fail(error);
    }
    sending = false;
    void idle();
  };

  const idle = async () => {
    if (idling || sending || over || session === null) return;
    idling = true;
    try {
      await round([], POLL_WAIT_SECONDS);
    } catch (error) {
      fail(error);
    }
    idling = false;
    // An answer that came at once (ended by a newer poll) must not become a tight loop while that one is under way.
    if (!sending) queueMicrotask(() => void idle());
  };

  queueMicrotask(() => {
    if (!over) events.opened();
  });
  return {
    send: (message) => {
      outbox.push(message);
      void flush();
    },
    close: () => {
      over = true;
      abort.abort();
    },
  };
}

/** @param {string} token @returns {Exchange} */
export const httpExchange = (token) => (body, signal) =>
  poll(body, token, AbortSignal.any([signal, AbortSignal.timeout(POLL_DEADLINE_MS)]));

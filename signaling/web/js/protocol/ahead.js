/**
 * A live connection that is opened before it is needed.
 *
 * Why: who looks at the join page is about to join, and then waits for round trips. Those of the connection's own
 * handshakes can be over by then. The server lets an unused connection go after ten seconds, so it is opened again
 * at the next sign that somebody is there, and not for a page that lies in the background for hours.
 *
 *   join page -> prepare;   click -> connection.js -> take
 */

/** `WebSocket.CLOSING`; what comes before it can be used. */
const CLOSING = 2;
/** Where connections are refused at once, a moving pointer must not become a storm of them. */
const SPACING_MS = 5_000;

export class SocketAhead {
  /** @type {() => WebSocket} */ #open;
  /** @type {() => number} */ #now;
  /** @type {WebSocket | null} */ #socket = null;
  #openedAt = -Infinity;

  /** @param {() => WebSocket} open @param {() => number} now Milliseconds. */
  constructor(open, now) {
    this.#open = open;
    this.#now = now;
  }

  /** Opens a connection unless there is one already, or one has ended just now. */
  prepare() {
    if (this.#isUsable() || this.#now() < this.#openedAt + SPACING_MS) return;
    this.#openedAt = this.#now();
    this.#socket = this.#open();
  }

  /** The connection for who needs it now: the one that was prepared, or a new one. It is theirs. */
  take() {
    const socket = this.#isUsable() ? this.#socket : null;
    this.#socket = null;
    return socket ?? this.#open();
  }

  #isUsable() {
    return this.#socket !== null && this.#socket.readyState < CLOSING;
  }

  /** Lets go of what nobody took. */
  close() {
    this.#socket?.close();
    this.#socket = null;
  }
}

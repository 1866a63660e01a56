/**
 * The browser's side of what `protocol/connection.js` asks for: carriers, clock and chance.
 */

import { SocketAhead } from '../protocol/ahead.js';
import { httpExchange, openSocket, pollCarrier, socketCarrier } from '../protocol/carriers.js';

/** The page and its server share an origin, also behind a proxy that the server does not know of. */
function liveUrl() {
  const url = new URL('/v1/live', window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** Signs that somebody is at the page, long enough before a click. */
const STIRRINGS = /** @type {const} */ (['pointermove', 'pointerdown', 'keydown', 'focus']);

/** Keeps a live connection at hand while somebody is about to join. @returns {{ socket: SocketAhead, end: () => void }} */
export function standBy() {
  const socket = new SocketAhead(() => openSocket(liveUrl()), () => performance.now());
  const stir = () => socket.prepare();
  for (const stirring of STIRRINGS) window.addEventListener(stirring, stir, { passive: true });
  stir();
  return {
    socket,
    end: () => {
      for (const stirring of STIRRINGS) window.removeEventListener(stirring, stir);
      socket.close();
    },
  };
}

/** @type {Pick<import('../protocol/connection.js').ConnectionEnv, 'setTimer' | 'clearTimer' | 'now' | 'random'>} */
const clockEnv = {
  setTimer: (run, ms) => window.setTimeout(run, ms),
  clearTimer: (id) => window.clearTimeout(id),
  now: () => performance.now(),
  random: () => Math.random(),
};

/** @param {SocketAhead} [ahead] @returns {import('../protocol/connection.js').ConnectionEnv} */
export const connectionEnv = (ahead) => ({
  openSocket: (events) => socketCarrier(ahead?.take() ?? openSocket(liveUrl()), events),
  openPoll: (token, events) => pollCarrier(httpExchange(token), events),
  ...clockEnv,
});

/** Some proxies hold answers longer than promised; past this a poll counts as lost. */
const FEED_POLL_DEADLINE_MS = 40_000;

/** @param {(cursor: string | null, wait: number, signal: AbortSignal) => Promise<import('../protocol/feed.js').PollPage>} poll @returns {import('../protocol/feed.js').FeedEnv} */
export const feedEnv = (poll) => ({
  ...clockEnv,
  openSocket: (events) => socketCarrier(openSocket(liveUrl()), events),
  poll: (cursor, wait, signal) => poll(cursor, wait, AbortSignal.any([signal, AbortSignal.timeout(FEED_POLL_DEADLINE_MS)])),
});

/** Tells whether somebody looks at the page: it is visible and has the focus. @param {(attentive: boolean) => void} changed @returns {() => void} Ends it. */
export function watchAttention(changed) {
  const look = () => changed(document.visibilityState === 'visible' && document.hasFocus());
  document.addEventListener('visibilitychange', look);
  window.addEventListener('focus', look);
  window.addEventListener('blur', look);
  look();
  return () => {
    document.removeEventListener('visibilitychange', look);
    window.removeEventListener('focus', look);
    window.removeEventListener('blur', look);
  };
}

/** Tells when another network may be there: the machine came online, or the page is looked at again. @param {() => void} changed @returns {() => void} Ends it. */
export function watchNetwork(changed) {
  const seen = () => {
    if (document.visibilityState === 'visible') changed();
  };
  window.addEventListener('online', changed);
  document.addEventListener('visibilitychange', seen);
  return () => {
    window.removeEventListener('online', changed);
    document.removeEventListener('visibilitychange', seen);
  };
}

/** @param {string} name */
export function markOnce(name) {
  if (performance.getEntriesByName(name, 'mark').length === 0) performance.mark(name);
}

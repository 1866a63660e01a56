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

/** @param {SocketAhead} [ahead] @returns {import('../protocol/connection.js').ConnectionEnv} */
export const connectionEnv = (ahead) => ({
  openSocket: (events) => socketCarrier(ahead?.take() ?? openSocket(liveUrl()), events),
  openPoll: (token, events) => pollCarrier(httpExchange(token), events),
  setTimer: (run, ms) => window.setTimeout(run, ms),
  clearTimer: (id) => window.clearTimeout(id),
  now: () => performance.now(),
  random: () => Math.random(),
});

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

/**
 * The browser's side of what `protocol/connection.js` asks for: carriers, clock and chance.
 */

import { httpExchange, pollCarrier, socketCarrier } from '../protocol/carriers.js';

/** The page and its server share an origin, also behind a proxy that the server does not know of. */
function liveUrl() {
  const url = new URL('/v1/live', window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

/** @returns {import('../protocol/connection.js').ConnectionEnv} */
export const connectionEnv = () => ({
  openSocket: (events) => socketCarrier(liveUrl(), events),
  openPoll: (token, events) => pollCarrier(httpExchange(token), events),
  setTimer: (run, ms) => window.setTimeout(run, ms),
  clearTimer: (id) => window.clearTimeout(id),
  now: () => performance.now(),
  random: () => Math.random(),
});

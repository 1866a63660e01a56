/**
 * Reads the browser's own statistics of the call, on a timer.
 *
 *   timer -> pc.getStats() -> media/measure.js -> Store
 */

import { measured, readingOf } from '../media/measure.js';

/** @import { Measured, Reading } from '../media/measure.js' */

/** As often as the server tells its view. */
const EVERY_MS = 2_000;

/**
 * @param {() => RTCPeerConnection | null} pc
 * @param {(own: Measured) => void} report
 * @returns {() => void} Ends it.
 */
export function watchHealth(pc, report) {
  /** @type {RTCPeerConnection | null} */
  let watched = null;
  /** @type {Reading | null} */
  let before = null;
  const look = async () => {
    const present = pc();
    if (present === null || present.connectionState !== 'connected') return;
    const reading = readingOf((await present.getStats()).values());
    // A new connection counts from nothing.
    const since = watched === present ? before : null;
    [watched, before] = [present, reading];
    report(measured(reading, since));
  };
  // A connection that closes while it is asked answers nothing; the next one is asked.
  const timer = setInterval(() => void look().catch(() => {}), EVERY_MS);
  return () => clearInterval(timer);
}

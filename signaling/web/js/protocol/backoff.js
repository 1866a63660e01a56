/**
 * How long to wait before the next attempt to connect.
 *
 * Why random: after a restart of the server every page comes back at once; spreading each wait over its whole
 * range keeps them from arriving as one wave.
 */

export const BACKOFF_MIN_MS = 500;
export const BACKOFF_MAX_MS = 5_000;

/**
 * @param {number} attempt 1 for the first retry.
 * @param {number} random From 0 up to 1.
 * @returns {number} Milliseconds.
 */
export function backoff(attempt, random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(attempt, 16));
  return Math.round(BACKOFF_MIN_MS + random * (ceiling - BACKOFF_MIN_MS));
}

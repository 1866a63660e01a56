/** Waiting for conditions, with a limit and a message that says what was seen last. */
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 25;

/**
 * Asks `probe` until it answers with something truthy and gives that back.
 * A probe that throws counts as "not yet"; the last answer or error is part of the failure's text.
 * @template T
 * @param {string} what what is waited for, as the failure will say it
 * @param {() => T | Promise<T>} probe
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, probe, { timeout = 15_000 } = {}) {
  const started = performance.now();
  let last;
  while (performance.now() - started < timeout) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await pause(POLL_MS);
  }
  throw new Error(`waited ${timeout} ms for ${what}; last seen: ${describe(last)}`);
}

/** The time that tests and pages share. */
export const now = () => performance.timeOrigin + performance.now();

/** Prints a measured time, so that a run's log holds the figures. */
export function report(t, name, value, unit = 'ms') {
  t.diagnostic(`${name}: ${typeof value === 'number' ? Math.round(value * 10) / 10 : value} ${unit}`.trim());
}

function describe(value) {
  if (value instanceof Error) return value.message;
  const text = JSON.stringify(value);
  return text && text.length > 1500 ? `${text.slice(0, 1500)}...` : text;
}

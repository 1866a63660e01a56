/**
 * Speeds and keys of the player: what a key asks for, without a browser.
 */

export const SPEEDS = /** @type {const} */ ([0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]);

/** Seconds of an arrow key, and of J and L; how much louder a key makes it. */
const STEP_S = 5;
const LEAP_S = 10;
const VOLUME_STEP = 0.1;

/** @typedef {{ do: 'toggle' | 'mute' | 'fullScreen' } | { do: 'seek', by: number } | { do: 'volume', by: number } | { do: 'speed', by: 1 | -1 } | { do: 'start' | 'end' }} KeyAct */

/** @type {Record<string, KeyAct>} */
const KEYS = {
  ' ': { do: 'toggle' },
  k: { do: 'toggle' },
  arrowleft: { do: 'seek', by: -STEP_S },
  arrowright: { do: 'seek', by: STEP_S },
  j: { do: 'seek', by: -LEAP_S },
  l: { do: 'seek', by: LEAP_S },
  arrowup: { do: 'volume', by: VOLUME_STEP },
  arrowdown: { do: 'volume', by: -VOLUME_STEP },
  '<': { do: 'speed', by: -1 },
  '>': { do: 'speed', by: 1 },
  f: { do: 'fullScreen' },
  m: { do: 'mute' },
  home: { do: 'start' },
  end: { do: 'end' },
};

/** Where a key is heard: on nothing of its own, in the seek bar, on something that is pressed, or where it has its own meaning. */
/** @typedef {'page' | 'seek' | 'press' | 'own'} KeyPlace */

/**
 * @param {{ key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean }} event
 * @param {KeyPlace} place
 * @returns {KeyAct | null} Null where the key is not ours.
 */
export function keyAct({ key, ctrlKey, metaKey, altKey }, place) {
  if (ctrlKey || metaKey || altKey || place === 'own') return null;
  // Space presses the button that has the focus.
  if (key === ' ' && place === 'press') return null;
  const act = KEYS[key.toLowerCase()] ?? null;
  // Home and End scroll the page, but in the seek bar.
  return act !== null && (act.do === 'start' || act.do === 'end') && place !== 'seek' ? null : act;
}

/** The next speed up or down; the same at either end. @param {number} speed @param {1 | -1} by */
export function nextSpeed(speed, by) {
  const nearest = SPEEDS.reduce((best, one, n) => (Math.abs(one - speed) < Math.abs((SPEEDS[best] ?? 1) - speed) ? n : best), 0);
  return SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, nearest + by))] ?? 1;
}

/** @param {number} value @param {number} most */
export const within = (value, most) => Math.max(0, Math.min(most, value));

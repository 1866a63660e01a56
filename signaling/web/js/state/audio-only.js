/**
 * When a call goes on with sound alone, and when pictures come back.
 *
 * Why: a path that carries less than a picture makes everything late, the voices too. Letting go of pictures is decided here, once,
 * for both directions, and with patience: three looks, two seconds apart, below the bound to stop; three above twice the bound
 * to come back, and longer each time that this was wrong. The downlink's room is found by the server's probes without any picture. An
 * uplink that sends a voice alone learns nothing of more room, so the lowest layer of the own camera is tried now and then, unseen.
 *
 *   look (every two seconds), choice of the person -> stepAudioOnly -> { active, trial } -> layout, camera, mute, notice
 */

import { PICTURE_BPS } from './health.js';

/**
 * @typedef {object} AudioOnly
 * @property {'auto' | 'on' | 'off'} choice `on`: the person wants sound alone; `off`: pictures in spite of the network, until it recovers.
 * @property {boolean} active Pictures are stopped.
 * @property {'down' | 'up' | 'person' | null} why
 * @property {boolean} trial The own camera is tried, unseen.
 * @property {number} low Looks below the bound, one after the other.
 * @property {number} high Looks above it.
 * @property {number} since Looks since the last change.
 * @property {number} patience Looks above the bound until pictures come back.
 * @property {number} pause Looks until the next trial.
 */
/**
 * @typedef {object} Look
 * @property {number | null} down Bits a second that the path to us carries; null: not known, or limited by choice.
 * @property {number | null} up The same from us; null: not known, or no picture is sent to learn it from.
 * @property {boolean} hasPictures There is any picture to stop.
 */

const LOOKS = 3;
const PATIENCE_MAX = 30;
/** Coming back was wrong if it ends so soon. */
const REGRET = 30;
const ROOM_BPS = 2 * PICTURE_BPS;
/** Browsers begin low with a picture and raise their estimate by some percent a second: so long it says nothing against it. */
const GRACE = 8;
/** Of a trial with the lowest layer alone no more can be learnt than half as much again as it sends. */
const TRIAL_ROOM_BPS = 200_000;
const TRIAL_LOOKS = 10;
const PAUSE = 10;
const PAUSE_MAX = 150;

/** @type {AudioOnly} */
export const WITH_PICTURES = { choice: 'auto', active: false, why: null, trial: false, low: 0, high: 0, since: REGRET, patience: LOOKS, pause: PAUSE };

/** @param {AudioOnly} now @param {AudioOnly['choice']} choice @returns {AudioOnly} */
export function chooseAudioOnly(now, choice) {
  const fresh = { ...now, choice, trial: false, low: 0, high: 0, since: 0 };
  if (choice === 'on') return { ...fresh, active: true, why: 'person' };
  return { ...fresh, active: false, why: null };
}

/** @param {AudioOnly} before @param {Look} look @returns {AudioOnly} */
export function stepAudioOnly(before, look) {
  const now = { ...before, since: before.since + 1 };
  const [isDownLow, isUpLow] = [isBelow(look.down, PICTURE_BPS), isBelow(look.up, PICTURE_BPS)];
  if (now.choice === 'on') return now;
  if (now.choice === 'off') {
    // The person's word holds until the network is better than it was.
    const high = isDownLow || isUpLow || look.down === null ? 0 : now.high + 1;
    return high >= LOOKS ? { ...now, choice: 'auto', high: 0 } : { ...now, high };
  }
  if (!now.active) {
    const isLow = isDownLow || (isUpLow && now.since > GRACE);
    const low = isLow && look.hasPictures ? now.low + 1 : 0;
    return low < LOOKS ? { ...now, low } : stop(now, isDownLow ? 'down' : 'up');
  }
  return now.why === 'up' ? waitForUplink(now, look) : waitForDownlink(now, look);
}

/** @param {AudioOnly} now @param {'down' | 'up'} why @returns {AudioOnly} */
function stop(now, why) {
  const regrets = now.since < REGRET;
  const patience = regrets ? Math.min(PATIENCE_MAX, 2 * now.patience) : LOOKS;
  const pause = regrets ? Math.min(PAUSE_MAX, 2 * now.pause) : PAUSE;
  return { ...now, active: true, why, trial: false, low: 0, high: 0, since: 0, patience, pause };
}

/** @param {AudioOnly} now @returns {AudioOnly} */
const goOn = (now) => ({ ...now, active: false, why: null, trial: false, low: 0, high: 0, since: 0 });

/** @param {AudioOnly} now @param {Look} look @returns {AudioOnly} */
function waitForDownlink(now, look) {
  const high = isAbove(look.down, ROOM_BPS) ? now.high + 1 : 0;
  return high >= now.patience ? goOn(now) : { ...now, high };
}

/** @param {AudioOnly} now @param {Look} look @returns {AudioOnly} */
function waitForUplink(now, look) {
  if (!now.trial) return now.since >= now.pause ? { ...now, trial: true, high: 0, since: 0 } : now;
  const high = isAbove(look.up, TRIAL_ROOM_BPS) ? now.high + 1 : 0;
  if (high >= 2) return goOn(now);
  if (now.since < TRIAL_LOOKS) return { ...now, high };
  return { ...now, trial: false, high: 0, since: 0, pause: Math.min(PAUSE_MAX, 2 * now.pause) };
}

/** @param {number | null} value @param {number} bound */
const isBelow = (value, bound) => value !== null && value < bound;
/** @param {number | null} value @param {number} bound */
const isAbove = (value, bound) => value !== null && value >= bound;

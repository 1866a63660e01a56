/**
 * What is known of the network, and what to make of it: grades with a memory, and why each picture is as large as it is.
 *
 * Why here: "never shown on a guess" and "not back and forth" are rules about data. What is not measured is null and stays null
 * until it is; a grade gets worse after four seconds and better after ten.
 *
 *   server's `health`, media/measure.js -> reduceHealth -> HealthState -> ui/health.js, ui/tile.js
 */

/** @import { Downlink, HealthMessage, NetworkGrade, Participant, PublicationKind, SlotHealth } from '../protocol/messages.js' */
/** @import { Measured } from '../media/measure.js' */
/** @import { Look } from './audio-only.js' */
/** @import { MeetingState } from './meeting.js' */

/** @typedef {NetworkGrade} Grade */
/** @typedef {{ grade: Grade | null, next: Grade | null, looks: number }} Trend A grade, and what it may become after some more looks. */
/**
 * @typedef {object} HealthState
 * @property {HealthMessage | null} told What the server says.
 * @property {Measured | null} own What this browser says.
 * @property {Trend} down The grade of the own downlink.
 */
/** @typedef {'wanted' | 'source' | 'network' | 'paused'} PictureReason */

/** @type {HealthState} */
export const NO_HEALTH = { told: null, own: null, down: { grade: null, next: null, looks: 0 } };

/** Looks, two seconds apart, until a worse, a better or no grade is believed. */
const LOOKS = { worse: 2, better: 5 };

/** Thresholds of a call that is poor or weak (loss in a thousandth, time in milliseconds). */
const POOR = { loss: 100, roundTrip: 500 };
const WEAK = { loss: 30, roundTrip: 300 };
/** Less than this carries a voice and no picture. */
export const PICTURE_BPS = 150_000;

/** @type {Record<Grade, number>} */
const ORDER = { good: 0, weak: 1, poor: 2 };

/**
 * @param {HealthState} health
 * @param {{ told: HealthMessage } | { own: Measured | null }} news
 * @returns {HealthState}
 */
export function reduceHealth(health, news) {
  if ('own' in news) return { ...health, own: news.own };
  const grade = gradeOfDownlink(news.told.down, news.told.slots, health.own);
  return { ...health, told: news.told, down: follow(health.down, grade) };
}

/**
 * A grade that is believed only when it stays.
 *
 * @param {Trend} trend
 * @param {Grade | null} grade
 * @returns {Trend}
 */
export function follow(trend, grade) {
  if (grade === trend.grade) return { grade, next: grade, looks: 0 };
  const looks = grade === trend.next ? trend.looks + 1 : 1;
  const isWorse = grade !== null && (trend.grade === null ? grade !== 'good' : ORDER[grade] > ORDER[trend.grade]);
  const needed = isWorse || (trend.grade === null && grade !== null) ? LOOKS.worse : LOOKS.better;
  return looks >= needed ? { grade, next: grade, looks: 0 } : { grade: trend.grade, next: grade, looks };
}

/**
 * How good the way to this person is.
 *
 * @param {Downlink | null} down
 * @param {readonly SlotHealth[]} slots
 * @param {Measured | null} own
 * @returns {Grade | null}
 */
export function gradeOfDownlink(down, slots, own) {
  if (down === null) return null;
  const loss = down.lossPermille ?? 0;
  // The path's own checks where there are any: the server's figure holds the wait for feedback, too.
  const roundTrip = own?.roundTrip ?? 0;
  const isCut = slots.some(({ reason, layer }) => reason === 'network' && layer === null);
  const isLimited = slots.some(({ reason }) => reason === 'network');
  const isSmall = down.limit !== 'client' && down.limit !== 'operator' && down.target < PICTURE_BPS;
  if (loss >= POOR.loss || roundTrip >= POOR.roundTrip || isCut || isSmall || down.limit === 'silence') return 'poor';
  if (loss >= WEAK.loss || roundTrip >= WEAK.roundTrip || isLimited) return 'weak';
  return 'good';
}

/** The worse of two grades; what is not known does not count. @param {Grade | null | undefined} one @param {Grade | null | undefined} other */
export function worse(one, other) {
  if (!one || !other) return one ?? other ?? null;
  return ORDER[one] >= ORDER[other] ? one : other;
}

/**
 * What the network carries both ways, as far as it says anything about pictures.
 *
 * @param {MeetingState} state
 * @returns {Look}
 */
export function lookOf(state) {
  const { told, own } = state.health;
  const path = told?.down ?? null;
  const isByChoice = path === null || path.limit === 'client' || path.limit === 'operator';
  const hasCamera = state.wanted.camera && state.capture.camera === 'live';
  const isSent = hasCamera && (!state.audioOnly.active || state.audioOnly.trial);
  const screens = [...state.publications.values()].some(({ kind }) => kind === 'screen');
  const others = [...state.participants.values()].filter(({ id }) => id !== state.self);
  return {
    down: isByChoice ? null : path.target,
    // Browsers raise their estimate only as far as they send: of a voice alone it says nothing.
    up: isSent ? own?.carries ?? null : null,
    hasPictures: hasCamera || others.some((person) => person.hasCamera && !person.cameraMuted) || screens,
  };
}

/** Whether a person's camera or screen is sent to us no more for want of room on our path. @param {MeetingState} state @param {Participant} person @param {PublicationKind} kind */
export function isPaused(state, person, kind) {
  const slots = state.health.told?.slots ?? [];
  if (kind === 'camera' && person.cameraMuted) return false;
  return slots.some((slot) => {
    const publication = state.publications.get(slot.publicationId);
    return publication?.participantId === person.id && publication.kind === kind && pictureReason(slot) === 'paused';
  });
}

/** @param {SlotHealth} slot @returns {PictureReason} */
export function pictureReason({ layer, reason }) {
  if (reason === 'network') return layer === null ? 'paused' : 'network';
  return reason;
}

/**
 * The place that this tab holds in a meeting, so that a reload comes back as the same participant.
 *
 * Why session storage: it belongs to one tab and dies with it. A second tab is a second participant.
 */

/** @import { CaptureKind } from '../protocol/messages.js' */

/**
 * @typedef {object} Place
 * @property {string} secret From the join link.
 * @property {string} token
 * @property {string} participantId
 * @property {string} name
 * @property {RTCIceServer[]} iceServers
 */
/** @typedef {Record<CaptureKind, boolean>} Wanted */
/** @typedef {Pick<import('../state/meeting.js').MeetingState, 'view' | 'pinned' | 'lowBandwidth'>} Look How to see the others. */

const PLACE_KEY = 'plenum.place';
const WANTED_KEY = 'plenum.wanted';
const WANTED_BEFORE_KEY = 'plenum.wantedBefore';
const LOOK_KEY = 'plenum.look';
const LOW_BANDWIDTH_KEY = 'plenum.lowBandwidth';
const NAME_KEY = 'plenum.name';
const SIGNED_IN_KEY = 'plenum.signedIn';
const ANSWER_KEY = 'plenum.answer';
/** To leave one page and to open the next takes less. */
const ANSWER_MS = 15_000;

/** @param {Storage} storage @param {string} key @returns {unknown} */
function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

/** @param {Storage} storage @param {string} key @param {unknown} value */
function write(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows may refuse storage: a reload then asks for the name again.
  }
}

/** @param {string} secret @returns {Place | null} */
export function placeIn(secret) {
  const place = /** @type {Place | null} */ (read(sessionStorage, PLACE_KEY));
  return place !== null && typeof place.token === 'string' && place.secret === secret ? place : null;
}

/** @param {Place} place */
export const keepPlace = (place) => write(sessionStorage, PLACE_KEY, place);
export const givePlaceUp = () => sessionStorage.removeItem(PLACE_KEY);

/**
 * A call is answered on one page, and on the next one comes into its meeting. Not by its address: a link that somebody sends must
 * bring nobody in.
 *
 * @param {string} secret
 */
export const keepAnswer = (secret) => write(sessionStorage, ANSWER_KEY, { secret, until: Date.now() + ANSWER_MS });

/** Whether this tab has just answered the call of that meeting; true once. @param {string} secret */
export function takeAnswer(secret) {
  const answer = /** @type {{ secret?: unknown, until?: unknown } | null} */ (read(sessionStorage, ANSWER_KEY));
  sessionStorage.removeItem(ANSWER_KEY);
  return answer?.secret === secret && typeof answer.until === 'number' && answer.until > Date.now();
}

/** @returns {Wanted} */
export function rememberedWanted() {
  const wanted = /** @type {Partial<Wanted> | null} */ (read(sessionStorage, WANTED_KEY));
  return { microphone: wanted?.microphone !== false, camera: wanted?.camera !== false };
}

/** @param {Wanted} wanted */
export const rememberWanted = (wanted) => write(sessionStorage, WANTED_KEY, wanted);

/** For the call that is answered alone: the next meeting begins as the one before. @param {Wanted} wanted */
export function lendWanted(wanted) {
  if (read(sessionStorage, WANTED_BEFORE_KEY) === null) write(sessionStorage, WANTED_BEFORE_KEY, rememberedWanted());
  rememberWanted(wanted);
}

/** What a meeting begins with that this tab was not in. @returns {Wanted} */
export function wantedAnew() {
  const before = /** @type {Wanted | null} */ (read(sessionStorage, WANTED_BEFORE_KEY));
  sessionStorage.removeItem(WANTED_BEFORE_KEY);
  if (before !== null) rememberWanted(before);
  return rememberedWanted();
}

/** Pins and view belong to the meeting of this tab, whether bandwidth is low to the browser. @returns {Look} */
export function rememberedLook() {
  const look = /** @type {Partial<Look> | null} */ (read(sessionStorage, LOOK_KEY));
  const pinned = Array.isArray(look?.pinned) ? look.pinned.filter((id) => typeof id === 'string') : [];
  const view = look?.view === 'gallery' || look?.view === 'speaker' ? look.view : 'grid';
  return { view, pinned, lowBandwidth: read(localStorage, LOW_BANDWIDTH_KEY) === true };
}

/** @param {Look} look */
export function rememberLook({ view, pinned, lowBandwidth }) {
  write(sessionStorage, LOOK_KEY, { view, pinned });
  write(localStorage, LOW_BANDWIDTH_KEY, lowBandwidth);
}

/** @returns {string} */
export function rememberedName() {
  const name = read(localStorage, NAME_KEY);
  return typeof name === 'string' ? name : '';
}

/** @param {string} name */
export const rememberName = (name) => write(localStorage, NAME_KEY, name);

/**
 * Whether somebody was signed in on this browser when the start page was last shown. Scripts cannot see the session's
 * cookie; this spares guests a question whose answer is 401, which browsers report as an error of the page.
 */
export const rememberedSignedIn = () => read(localStorage, SIGNED_IN_KEY) === true;

/** @param {boolean} signedIn */
export const rememberSignedIn = (signedIn) => write(localStorage, SIGNED_IN_KEY, signedIn);

/** @param {string} joinWebUrl @returns {string | null} */
export function secretOf(joinWebUrl) {
  const match = /\/join\/([^/?#\s]+)/.exec(joinWebUrl);
  return match?.[1] === undefined ? null : decodeURIComponent(match[1]);
}

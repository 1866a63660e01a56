/**
 * Gets a microphone and a camera from the browser, as many of them as it gives.
 *
 * Why: one missing camera must not cost the microphone, and the reason of a refusal is told in the person's terms, so
 * the browser's many exceptions become five.
 */

import { chosenDevices, hasDevices, permissionFor } from './devices.js';

/** @import { CaptureKind } from '../protocol/messages.js' */
/** @import { DeviceProblem } from '../state/meeting.js' */

/**
 * @typedef {object} Captured
 * @property {Partial<Record<CaptureKind, MediaStreamTrack>>} tracks
 * @property {Partial<Record<CaptureKind, DeviceProblem>>} problems
 */

/** @type {Record<string, DeviceProblem>} */
const PROBLEMS = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

/** @param {string | undefined} id @returns {MediaTrackConstraints} */
const device = (id) => (id === undefined ? {} : { deviceId: { ideal: id } });

/** @param {readonly CaptureKind[]} kinds @returns {MediaStreamConstraints} */
function constraints(kinds) {
  const chosen = chosenDevices();
  /** @type {MediaStreamConstraints} */
  const wanted = {};
  if (kinds.includes('microphone')) {
    wanted.audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...device(chosen.microphone) };
  }
  if (kinds.includes('camera')) {
    wanted.video = {
      width: { ideal: 1280 },
      height: { ideal: 720 },
      frameRate: { ideal: 30, max: 30 },
      ...device(chosen.camera),
    };
  }
  return wanted;
}

/** @param {readonly CaptureKind[]} kinds @returns {Promise<Captured['tracks']>} */
async function ask(kinds) {
  const stream = await navigator.mediaDevices.getUserMedia(constraints(kinds));
  const [microphone] = stream.getAudioTracks();
  const [camera] = stream.getVideoTracks();
  return { ...(microphone && { microphone }), ...(camera && { camera }) };
}

/** @param {unknown} error @returns {DeviceProblem} */
const problemOf = (error) => (error instanceof DOMException ? PROBLEMS[error.name] ?? 'failed' : 'failed');

/**
 * @param {readonly CaptureKind[]} kinds
 * @returns {Promise<Captured>}
 */
export async function capture(kinds) {
  if (kinds.length === 0) return { tracks: {}, problems: {} };
  if (!hasDevices()) return { tracks: {}, problems: Object.fromEntries(kinds.map((kind) => [kind, 'insecure'])) };
  try {
    return { tracks: await ask(kinds), problems: {} };
  } catch (error) {
    const problem = problemOf(error);
    if (kinds.length === 1) return { tracks: {}, problems: Object.fromEntries(kinds.map((kind) => [kind, problem])) };
    const worthAsking = problem === 'denied' ? await notDenied(kinds) : kinds;
    const alone = await Promise.all(worthAsking.map((kind) => capture([kind])));
    return {
      tracks: Object.assign({}, ...alone.map(({ tracks }) => tracks)),
      problems: Object.assign(
        Object.fromEntries(kinds.filter((kind) => !worthAsking.includes(kind)).map((kind) => [kind, problem])),
        ...alone.map(({ problems }) => problems),
      ),
    };
  }
}

/**
 * One line to say per problem, not one per device.
 *
 * @param {Captured['problems']} problems
 * @returns {[DeviceProblem, CaptureKind[]][]}
 */
export function byProblem(problems) {
  /** @type {Map<DeviceProblem, CaptureKind[]>} */
  const kinds = new Map();
  for (const kind of /** @type {const} */ (['microphone', 'camera'])) {
    const problem = problems[kind];
    if (problem) kinds.set(problem, [...(kinds.get(problem) ?? []), kind]);
  }
  return [...kinds];
}

/**
 * After one refusal for both: only what the browser has already allowed is asked for again. A second prompt right
 * after a "no" would be rude.
 *
 * @param {readonly CaptureKind[]} kinds
 */
async function notDenied(kinds) {
  const states = await Promise.all(kinds.map(permissionFor));
  return kinds.filter((_, index) => states[index] === 'granted');
}

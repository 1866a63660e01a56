/**
 * Which cameras, microphones and speakers there are, what the browser allows, and which ones the person chose.
 *
 * Why: asking for a device lights the camera, so the page must know what is allowed without asking.
 */

/** @import { CaptureKind } from '../protocol/messages.js' */

/** @typedef {CaptureKind | 'speaker'} DeviceKind */
/** @typedef {{ id: string, label: string }} Device */
/** @typedef {Record<DeviceKind, Device[]>} DeviceList */

const STORE_KEY = 'plenum.devices';
/** @type {Record<string, DeviceKind>} */
const KINDS = { audioinput: 'microphone', videoinput: 'camera', audiooutput: 'speaker' };

/** Browsers give `mediaDevices` only to secure pages. */
export const hasDevices = () => navigator.mediaDevices !== undefined;
export const canChooseSpeaker = () => 'setSinkId' in HTMLMediaElement.prototype;

/** @returns {Promise<DeviceList>} Labels are empty until the browser has allowed the kind once. */
export async function listDevices() {
  /** @type {DeviceList} */
  const list = { microphone: [], camera: [], speaker: [] };
  if (!hasDevices()) return list;
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  for (const { kind, deviceId, label } of devices) {
    const ours = KINDS[kind];
    if (ours !== undefined && deviceId !== '') list[ours].push({ id: deviceId, label });
  }
  return list;
}

/** @param {() => void} changed @returns {() => void} Ends the watch. */
export function watchDevices(changed) {
  if (!hasDevices()) return () => {};
  navigator.mediaDevices.addEventListener('devicechange', changed);
  return () => navigator.mediaDevices.removeEventListener('devicechange', changed);
}

/** @param {CaptureKind} kind @returns {Promise<PermissionState | 'unknown'>} */
export async function permissionFor(kind) {
  try {
    const name = /** @type {PermissionName} */ (/** @type {string} */ (kind));
    return (await navigator.permissions.query({ name })).state;
  } catch {
    return 'unknown';
  }
}

/** @returns {Partial<Record<DeviceKind, string>>} */
export function chosenDevices() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORE_KEY) ?? '{}');
    return typeof stored === 'object' && stored !== null ? stored : {};
  } catch {
    return {};
  }
}

/** @param {DeviceKind} kind @param {string} id */
export function chooseDevice(kind, id) {
  try {
    localStorage.setItem(STORE_KEY, JSON.stringify({ ...chosenDevices(), [kind]: id }));
  } catch {
    // Storage may be switched off; the choice then holds for this page only, through the running track.
  }
}

/**
 * Gets a screen, a window or a tab from the browser, and what it sounds like where the browser gives that.
 *
 * Why no larger than this: more lines than most people's screens have cost every viewer bits and make no text clearer.
 * Why as it sounds: echo cancellation and noise suppression are made for voices and take music apart.
 */

/** @import { ShareKind } from '../protocol/messages.js' */

/** @typedef {Partial<Record<ShareKind, MediaStreamTrack>>} Shared */

const SCREEN_WIDTH = 1920;
const SCREEN_HEIGHT = 1200;
const FRAMES_A_SECOND = 15;

/** Phones have no such thing. */
export const canShare = () => typeof navigator.mediaDevices?.getDisplayMedia === 'function';

/**
 * Lets the person choose what to share. Null: they chose nothing.
 *
 * @returns {Promise<Shared | null>}
 */
export async function captureScreen() {
  const options = {
    video: {
      width: { max: SCREEN_WIDTH },
      height: { max: SCREEN_HEIGHT },
      frameRate: { ideal: FRAMES_A_SECOND, max: 2 * FRAMES_A_SECOND },
    },
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    // The meeting's own tab would be a picture of itself. Who does not know these ignores them.
    selfBrowserSurface: 'exclude',
    surfaceSwitching: 'include',
    systemAudio: 'include',
  };
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia(options);
    const [screen] = stream.getVideoTracks();
    const [screenAudio] = stream.getAudioTracks();
    return { ...(screen && { screen }), ...(screenAudio && { screenAudio }) };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotAllowedError') return null;
    throw error;
  }
}

/**
 * The keys that work anywhere in a meeting.
 *
 * Why not while writing: a letter typed into the chat must never act. Only the chords with Ctrl and Shift do.
 */

/** @import { CaptureKind } from '../protocol/messages.js' */

/**
 * @typedef {object} KeyContext
 * @property {(kind: CaptureKind) => void} toggle
 * @property {() => void} toggleShare
 * @property {() => void} toggleHand
 * @property {(talking: boolean) => void} hold Space goes down or up while muted.
 * @property {() => boolean} isMuted
 * @property {() => void} help
 * @property {() => void} escape
 * @property {(by: 1 | -1) => void} turn To another page of people.
 */

/** @type {Record<string, CaptureKind>} */
const CHORDS = { KeyM: 'microphone', KeyO: 'camera' };

/** @param {EventTarget | null} target */
const takesText = (target) =>
  target instanceof HTMLElement && (target.matches('input, textarea, select') || target.isContentEditable);
/** @param {EventTarget | null} target */
const takesSpace = (target) => takesText(target) || (target instanceof HTMLElement && target.closest('button, a, summary, dialog') !== null);

/** @param {EventTarget | null} target */
const scrolls = (target) => takesText(target) || (target instanceof HTMLElement && target.closest('.panel, dialog') !== null);

/** @param {KeyContext} context @returns {() => void} Ends it. */
export function watchKeys({ toggle, toggleShare, toggleHand, hold, isMuted, help, escape, turn }) {
  let holding = false;
  /** @param {KeyboardEvent} event */
  const down = (event) => {
    const isChord = event.ctrlKey && event.shiftKey && !event.altKey;
    const kind = isChord ? CHORDS[event.code] : undefined;
    if (kind) {
      event.preventDefault();
      if (!event.repeat) toggle(kind);
    } else if (isChord && event.code === 'KeyE') {
      event.preventDefault();
      if (!event.repeat) toggleShare();
    } else if (isChord && event.code === 'KeyK') {
      event.preventDefault();
      if (!event.repeat) toggleHand();
    } else if (event.key === '?' && !takesText(event.target)) {
      event.preventDefault();
      if (document.querySelector('dialog[open]') === null) help();
    } else if (event.key === 'Escape' && document.querySelector('dialog[open]') === null) {
      escape();
    } else if ((event.key === 'PageUp' || event.key === 'PageDown') && !scrolls(event.target)) {
      event.preventDefault();
      turn(event.key === 'PageDown' ? 1 : -1);
    } else if (event.code === 'Space' && !takesSpace(event.target)) {
      event.preventDefault();
      if (!event.repeat && isMuted()) {
        holding = true;
        hold(true);
      }
    }
  };
  const release = () => {
    if (holding) hold(false);
    holding = false;
  };
  /** @param {KeyboardEvent} event */
  const up = (event) => {
    if (event.code === 'Space') release();
  };
  document.addEventListener('keydown', down);
  document.addEventListener('keyup', up);
  // Who leaves the window with the key held down must not stay on the air.
  window.addEventListener('blur', release);
  return () => {
    document.removeEventListener('keydown', down);
    document.removeEventListener('keyup', up);
    window.removeEventListener('blur', release);
  };
}

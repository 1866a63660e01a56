/**
 * Whole numbers of those who called one's own number, by call.
 *
 * Why apart from the events: those are read by everybody in the chat and name the number masked. The called one alone is told the
 * whole one, asks for it where it is shown, and once.
 *
 *   ui/call-line.js -> number -> phones-http.js
 */

/** @import { PhoneCallEvent } from '../protocol/messages.js' */

/** Calls whose number is remembered: every call has a chat of its own, and who goes through more asks again. */
const KNOWN_MAX = 100;

export class Callers {
  #read;
  /** @type {Map<string, Promise<string | null>>} */ #known = new Map();

  /** @param {(meetingId: string, callId: string) => Promise<string | null>} read */
  constructor(read) {
    this.#read = read;
  }

  /** @param {Pick<PhoneCallEvent, 'meetingId' | 'callId'>} call @returns {Promise<string | null>} Null: withheld, not ours to see, or not to be had now. */
  number = ({ meetingId, callId }) => {
    const known = this.#known.get(callId);
    if (known) return known;
    const asked = this.#read(meetingId, callId).catch(() => {
      // Asked again when it is shown again.
      this.#known.delete(callId);
      return null;
    });
    this.#known.set(callId, asked);
    for (const [oldest] of this.#known) {
      if (this.#known.size <= KNOWN_MAX) break;
      this.#known.delete(oldest);
    }
    return asked;
  };
}

/**
 * Calls to the own number of whoever is signed in: heard from the feed, answered by joining, declined by hanging up.
 *
 * Why it looks once at the beginning: a page that is opened while it rings begins its feed too late for that call.
 *
 *   feed -> take -> Store (<- the caller's whole number) -> ui/ringing.js -> answer: the meeting's join link | decline -> phones-http.js
 */

import { ApiError } from '../protocol/http.js';
import { reduceRinging } from '../state/ringing.js';
import { Store } from '../state/store.js';

/** @import { News } from '../protocol/feed-messages.js' */
/** @import { Meeting } from '../protocol/http.js' */
/** @import { PhoneCallEvent, ThreadEvent } from '../protocol/messages.js' */
/** @import { RingingAction, RingingCall } from '../state/ringing.js' */

/**
 * @typedef {object} RingingApi
 * @property {(link: string) => Promise<{ value: Meeting[] }>} listMeetings
 * @property {(meetingId: string) => Promise<Meeting>} readMeeting
 * @property {(chatId: string) => Promise<ThreadEvent[]>} begin How a chat begins.
 * @property {(meetingId: string, callId: string) => Promise<unknown>} decline
 * @property {(meetingId: string, callId: string) => Promise<string | null>} callerNumber
 */

/** It rings no longer than that: older meetings are not looked at. */
const RINGS_MAX_MS = 120_000;
/** Who looks at meetings that are so new looks at few. */
const NEWEST = '/v1/onlineMeetings?$top=5';

export class Ringing {
  #api;
  #go;
  #isHere;
  #explain;
  /** @type {Set<ReturnType<typeof setTimeout>>} */ #timers = new Set();
  /** @type {Store<readonly RingingCall[], RingingAction>} */ store = new Store(reduceRinging, []);

  /**
   * @param {{ api: RingingApi, go: (path: string) => unknown, isHere?: (meetingId: string) => boolean, explain: (error: unknown) => string }} options
   *   `go`: to an address of this server, from where one is. `isHere`: one is in that meeting.
   */
  constructor({ api, go, isHere = () => false, explain }) {
    this.#api = api;
    this.#go = go;
    this.#isHere = isHere;
    this.#explain = explain;
  }

  /** @param {News} message */
  take(message) {
    if (message.type !== 'chatEvent' || message.event.kind !== 'phoneCall') return;
    this.#told(message.event);
  }

  /** What rings already. Nobody misses anything but this notice if it cannot be read. */
  async look() {
    const now = Date.now();
    const { value } = await this.#api.listMeetings(NEWEST);
    const fresh = value.filter(({ createdDateTime }) => now - Date.parse(createdDateTime) < RINGS_MAX_MS);
    for (const { chatId } of fresh) {
      for (const event of await this.#api.begin(chatId)) {
        if (event.kind === 'phoneCall') this.#told(event);
      }
    }
  }

  /** @param {PhoneCallEvent} event */
  #told(event) {
    // Who is in its meeting has answered, whether or not that was told yet.
    if (event.state === 'ringing' && this.#isHere(event.meetingId)) return;
    const now = Date.now();
    const before = this.store.state;
    this.store.dispatch({ type: 'told', event, now });
    if (event.state !== 'ringing' || event.until === undefined) return;
    if (!before.some(({ callId }) => callId === event.callId)) void this.#name(event);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.store.dispatch({ type: 'tick', now: Date.now() });
    }, Math.max(0, Date.parse(event.until) - now) + 50);
    this.#timers.add(timer);
  }

  /** Events name the number masked; whoever is called may see it whole. @param {PhoneCallEvent} event */
  async #name({ meetingId, callId }) {
    const caller = await this.#api.callerNumber(meetingId, callId).catch(() => null);
    if (caller !== null) this.store.dispatch({ type: 'named', callId, caller });
  }

  /** @param {RingingCall} call @returns {Promise<string>} Why not; empty: on the way. */
  answer = async ({ meetingId }) => {
    try {
      const { joinWebUrl } = await this.#api.readMeeting(meetingId);
      await this.#go(new URL(joinWebUrl).pathname);
      return '';
    } catch (error) {
      return this.#explain(error);
    }
  };

  /** @param {RingingCall} call @returns {Promise<string>} Why not; empty: done. */
  decline = async ({ meetingId, callId }) => {
    try {
      await this.#api.decline(meetingId, callId);
    } catch (error) {
      // Over meanwhile, and that is what was wanted.
      if (!(error instanceof ApiError) || error.status !== 404) return this.#explain(error);
    }
    this.store.dispatch({ type: 'done', callId });
    return '';
  };

  close() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

/**
 * Phones of a meeting: how to come in by one, calls out to them, who called its organiser, and how long the end of one is shown.
 *
 *   ui -> dial, hangUp -> HTTP        Connection -> phoneCalls -> Store (-> told: the end is forgotten after a while)
 */

import { ApiError, readMeeting } from '../protocol/http.js';
import * as http from '../protocol/phones-http.js';
import { Callers } from './callers.js';

/** @import { Meeting } from '../protocol/http.js' */
/** @import { PhoneCall } from '../protocol/messages.js' */
/** @import { Action, MeetingState } from '../state/meeting.js' */
/** @import { Store } from '../state/store.js' */
/** @import { Place } from './place.js' */

/** Time to read how a call came to nothing. */
const END_SHOWN_MS = 10_000;

export class Phones {
  #store;
  #token;
  #callers = new Callers(http.callerNumber);

  /** @param {Store<MeetingState, Action>} store @param {Promise<Pick<Place, 'token'>>} place */
  constructor(store, place) {
    this.#store = store;
    this.#token = async () => (await place).token;
  }

  #meetingId() {
    const { meeting } = this.#store.state;
    if (meeting === null) throw new ApiError(0, 'not_live', '', '');
    return meeting.id;
  }

  /** What its invitation says: whoever organises it is given more, by their session. @returns {Promise<Meeting>} */
  invitation = async () => {
    const { role } = this.#store.state;
    const id = this.#meetingId();
    if (role === 'organizer' || role === 'coorganizer') {
      try {
        return await readMeeting(id);
      } catch (error) {
        // Made a co-organiser for this call, without an account here.
        if (!(error instanceof ApiError) || ![401, 403, 404].includes(error.status)) throw error;
      }
    }
    return readMeeting(id, await this.#token());
  };

  /** @param {string} number @param {string} name */
  dial = async (number, name) => {
    await http.callPhone(this.#meetingId(), await this.#token(), number, name);
  };

  /** @param {string} callId */
  hangUp = async (callId) => {
    try {
      await http.hangUp(this.#meetingId(), await this.#token(), callId);
    } catch (error) {
      // Over meanwhile, and that is what was wanted.
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
    }
  };

  /** By the session: a place in the meeting does not show it. @type {import('../ui/call-line.js').CallerNumber} */
  callerNumber = async (event) => (this.#store.state.role === 'organizer' ? this.#callers.number(event) : null);

  /** @param {readonly PhoneCall[]} calls As the server just said. */
  told(calls) {
    for (const { id, status } of calls) {
      if (status === 'ended') setTimeout(() => this.#store.dispatch({ type: 'phoneEndSeen', id }), END_SHOWN_MS);
    }
  }
}

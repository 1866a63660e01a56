/**
 * Phones of a meeting: how to come in by one.
 */

import { ApiError, readMeeting } from '../protocol/http.js';

/** @import { Meeting } from '../protocol/http.js' */
/** @import { Action, MeetingState } from '../state/meeting.js' */
/** @import { Store } from '../state/store.js' */
/** @import { Place } from './place.js' */

export class Phones {
  #store;
  #token;

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
}

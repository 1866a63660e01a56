/**
 * What a person asks of the server about others: to mute, admit, remove, and so on.
 *
 * Why apart: none of it is known here before the server has said so. A refusal becomes a notice.
 */

import { RequestError } from '../protocol/connection.js';
import * as messages from '../protocol/messages.js';

/** @import { Reaction, Role } from '../protocol/messages.js' */
/** @import { Action } from '../state/meeting.js' */

/** @typedef {{ request(build: (id: number) => messages.ClientRequest): Promise<unknown> }} AskConnection */

export class Asks {
  #connection;
  #dispatch;

  /** @param {AskConnection} connection @param {(action: Action) => void} dispatch */
  constructor(connection, dispatch) {
    this.#connection = connection;
    this.#dispatch = dispatch;
  }

  /** @param {messages.RecordAction} action */
  record = (action) => this.#ask((id) => messages.record(id, action));
  /** @param {boolean} given Whether we agree to be recorded. */
  consent = (given) => this.#ask((id) => messages.recordingConsent(id, given));
  /** @param {string | null} participantId Null: nobody any more. */
  spotlight = (participantId) => this.#ask((id) => messages.spotlight(id, participantId));
  /** @param {string} participantId */
  mute = (participantId) => this.#ask((id) => messages.muteParticipant(id, participantId));
  muteAll = () => this.#ask(messages.muteAll);
  /** @param {string} participantId */
  remove = (participantId) => this.#ask((id) => messages.removeParticipant(id, participantId));
  /** @param {string} participantId @param {Role} role */
  setRole = (participantId, role) => this.#ask((id) => messages.setRole(id, participantId, role));
  /** @param {string} participantId */
  admit = (participantId) => this.#ask((id) => messages.admit(id, participantId));
  admitAll = () => this.#ask(messages.admitAll);
  /** @param {string} participantId */
  deny = (participantId) => this.#ask((id) => messages.deny(id, participantId));
  /** @param {boolean} locked */
  lock = (locked) => this.#ask((id) => messages.lock(id, locked));
  /** @param {boolean} raised @param {string} [participantId] Whose, to lower it. */
  hand = (raised, participantId) => this.#ask((id) => messages.hand(id, raised, participantId));
  /** @param {Reaction} reaction */
  react = (reaction) => this.#ask((id) => messages.react(id, reaction));

  /** @param {(id: number) => messages.ClientRequest} build */
  #ask(build) {
    this.#connection.request(build).catch((error) => {
      const message = error instanceof RequestError && error.message !== error.code ? error.message : '';
      this.#dispatch({ type: 'notice', notice: { code: 'refused', message } });
    });
  }
}

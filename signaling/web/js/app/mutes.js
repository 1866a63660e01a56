/**
 * Keeps the server's idea of our mutes equal to the person's wish.
 *
 * Why: the wish can change while a request is under way, the device may come later than the wish, and the server may
 * have forgotten after a restart. So nothing sends "mute" on a click; what is wanted is compared with what was told.
 *
 *   wish + device (Store) -> reconcile -> mute request -> acknowledged -> Store
 */

import * as messages from '../protocol/messages.js';
import { isMutedAtServer, selfOf } from '../state/select.js';

/** @import { PublicationKind } from '../protocol/messages.js' */
/** @import { Action, MeetingState } from '../state/meeting.js' */

/** @typedef {{ state: MeetingState, dispatch(action: Action): void }} MuteStore */
/** @typedef {{ readonly isOpen: boolean, request(build: (id: number) => messages.ClientRequest): Promise<unknown> }} MuteConnection */

/** @type {readonly PublicationKind[]} */
const KINDS = ['microphone', 'camera', 'screen', 'screenAudio'];

/** @type {Record<PublicationKind, import('../protocol/messages.js').Right>} */
const RIGHTS = { microphone: 'microphone', camera: 'camera', screen: 'share', screenAudio: 'share' };

export class MuteKeeper {
  /** @type {MuteStore} */ #store;
  /** @type {MuteConnection} */ #connection;
  /** What the server was told last on this connection. @type {Partial<Record<PublicationKind, boolean>>} */ #told = {};
  /** @type {Set<PublicationKind>} */ #underWay = new Set();

  /** @param {MuteStore} store @param {MuteConnection} connection */
  constructor(store, connection) {
    this.#store = store;
    this.#connection = connection;
  }

  /** A new connection: nothing has been told on it. */
  reset() {
    this.#told = {};
    this.#underWay.clear();
  }

  /** @param {PublicationKind} kind */
  mutedByServer(kind) {
    this.#told[kind] = true;
    if (kind === 'screen') this.#told.screenAudio = true;
  }

  reconcileAll() {
    for (const kind of KINDS) this.reconcile(kind);
  }

  /** @param {PublicationKind} kind */
  reconcile(kind) {
    const { state } = this.#store;
    const self = selfOf(state);
    if (!this.#connection.isOpen || self === null || this.#underWay.has(kind)) return;
    // The browser is asking the person, or the device is starting: wait for the outcome.
    if (state.wanted[kind] && state.capture[kind] === 'asking') return;
    const isStopped = kind === 'camera' && state.audioOnly.active;
    const muted = isStopped || !(state.wanted[kind] && state.capture[kind] === 'live');
    // The server would refuse, and ask nobody to try again.
    if (!muted && !state.order.may.includes(RIGHTS[kind])) return;
    // Read once a connection: a later change of the roster may be somebody muting us, which is not ours to undo.
    this.#told[kind] ??= isMutedAtServer(state, self, kind);
    if (muted === this.#told[kind]) return;
    void this.#tell(kind, muted);
  }

  /** @param {PublicationKind} kind @param {boolean} muted */
  async #tell(kind, muted) {
    const told = this.#told;
    told[kind] = muted;
    this.#underWay.add(kind);
    try {
      await this.#connection.request((id) => messages.mute(id, kind, muted));
      this.#store.dispatch({ type: 'muteAcknowledged', kind, muted });
    } catch {
      // Not known to be told. The next change or the next connection compares again; asking at once could spin.
      delete told[kind];
      this.#underWay.delete(kind);
      return;
    }
    this.#underWay.delete(kind);
    this.reconcile(kind);
  }
}

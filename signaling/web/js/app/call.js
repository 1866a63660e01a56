/**
 * One participant's stay in a meeting: joins conversation, media and state together.
 *
 * Why: each of the three can fail and come back alone (the socket, the path of the media, a device). This file holds
 * what one must do when another changes, and nothing that could be decided without it.
 *
 *   Connection -> receive -> Store -> ui       ui -> wishes (chat, record ...) -> Connection;  mute, camera -> OwnDevices
 *   Transport  -> state   -> new Transport     Receiver -> shown -> Store
 */

import { chosenDevices } from '../media/devices.js';
import { Receiver } from '../media/receiver.js';
import { Transport } from '../media/transport.js';
import { Connection, RequestError } from '../protocol/connection.js';
import * as messages from '../protocol/messages.js';
import { INITIAL, reduce } from '../state/meeting.js';
import { picturesIn, slotsFor, wishOf } from '../state/scene.js';
import { isVisible, selfOf } from '../state/select.js';
import { Store } from '../state/store.js';
import { Asks } from './asks.js';
import { connectionEnv, markOnce, watchNetwork } from './browser.js';
import { watchHealth } from './health.js';
import { MuteKeeper } from './mutes.js';
import { newId } from './ids.js';
import { OwnDevices } from './own-devices.js';
import { Phones } from './phones.js';
import { Wishes } from './wishes.js';

/** @import { CaptureKind, ServerMessage } from '../protocol/messages.js' */
/** @import { EndReason } from '../protocol/connection.js' */
/** @import { TransportState } from '../media/transport.js' */
/** @import { Action, MeetingState } from '../state/meeting.js' */
/** @import { Scene } from '../state/scene.js' */
/** @import { Look, Place, Wanted } from './place.js' */

const OFFER_TIMEOUT_MS = 15_000;
const OFFER_RETRY_MS = 2_000;
/** A server at its capacity has room again when people leave, and it is not helped by everybody asking every two seconds. */
const BUSY_RETRY_MS = 30_000;
const CHAT_TIMEOUT_MS = 15_000;
const LEAVE_TIMEOUT_MS = 1_500;
/** A slot's new picture comes within a few frames; past this the old one is covered with the new one's initials. */
const STALE_PICTURE_MS = 1_500;

/**
 * @typedef {object} CallOptions
 * @property {Place | Promise<Place>} place May still be on its way: everything else starts without it.
 * @property {Wanted} wanted
 * @property {Partial<Record<CaptureKind, MediaStreamTrack>>} tracks What the preview already captured.
 * @property {Look} look How the person wanted to see the others before a reload.
 * @property {number} videoSlots
 * @property {HTMLElement} soundRoot
 * @property {import('../protocol/ahead.js').SocketAhead} [ahead] A connection that was opened before the click.
 */

export class Call {
  /** @type {Store<MeetingState, Action>} */ store;
  /** @type {Receiver} */ receiver;
  /** @type {OwnDevices} */ devices;
  /** @type {Transport | null} */ transport = null;
  /** @type {Asks} */ asks;
  /** @type {Phones} */ phones;
  /** @type {Connection} */ #connection;
  /** @type {MuteKeeper} */ #mutes;
  /** @type {Wishes} */ #wishes;
  /** @type {Promise<Place>} */ #place;
  /** Pictures that every connection has room for from the start. */
  baseSlots;
  #videoSlots;
  /** A further offer, for more slots, is under way; and whether the connection was lost meanwhile. */
  #growing = false;
  #lostMeanwhile = false;
  #growAfter = 0;
  /** The server has answered the present transport's offer. */
  #answered = false;
  #offering = false;
  #over = false;
  /** @type {(() => void)[]} */ #endings = [];

  /** @param {CallOptions} options */
  constructor({ place, wanted, look, tracks, videoSlots, soundRoot, ahead }) {
    // After a reload the place is known before the server has said a word.
    const self = place instanceof Promise ? null : place.participantId;
    this.store = new Store(reduce, { ...INITIAL, ...look, wanted: { ...INITIAL.wanted, ...wanted }, self });
    this.#place = Promise.resolve(place);
    this.#videoSlots = videoSlots;
    this.baseSlots = videoSlots;
    this.receiver = new Receiver(
      {
        shown: (mid, publicationId) => {
          markOnce('plenum:first-frame');
          this.store.dispatch({ type: 'shown', mid, publicationId });
        },
        soundBlocked: (blocked) => this.store.dispatch({ type: 'soundBlocked', blocked }),
      },
      soundRoot,
    );
    this.#connection = new Connection(connectionEnv(ahead), {
      cursor: () => this.store.state.thread.cursor,
      receive: (message) => this.#receive(message),
      link: (link) => this.store.dispatch({ type: 'link', link }),
      ended: (reason) => this.#ended(reason),
    });
    this.asks = new Asks(this.#connection, (action) => this.store.dispatch(action));
    this.phones = new Phones(this.store, this.#place);
    this.#mutes = new MuteKeeper(this.store, this.#connection);
    this.#wishes = new Wishes(() => this.store.state, this.#connection);
    this.devices = new OwnDevices(this.store, () => this.#mutes.reconcileAll());
    this.transport = this.#newTransport();
    this.#connection.start(this.#place.then(({ token }) => token));
    this.#place.catch(() => this.dispose());
    const speaker = chosenDevices().speaker;
    if (speaker) this.receiver.useSpeaker(speaker);
    this.devices.begin(tracks);
    // A new page always has to offer: the offer follows the hello at once and does not wait for the welcome.
    void this.#offer();
    this.#endings.push(
      watchNetwork(() => this.#connection.networkChanged()),
      watchHealth(() => this.transport?.pc ?? null, (own) => {
        this.store.dispatch({ type: 'measured', own });
        this.#wishes.heldBack(own.heldBack ?? 'none');
      }),
    );
  }

  /** @param {string} text @param {string} [clientMessageId] Given when a failed message is tried again. */
  chat(text, clientMessageId = newId()) {
    this.store.dispatch({ type: 'chatQueued', clientMessageId, text });
    this.#connection
      .request((id) => messages.chat(id, clientMessageId, text), { durable: true, timeoutMs: CHAT_TIMEOUT_MS })
      .then(
        () => this.store.dispatch({ type: 'chatSettled', clientMessageId, state: 'sent' }),
        () => this.store.dispatch({ type: 'chatSettled', clientMessageId, state: 'failed' }),
      );
  }

  /**
   * What is in sight, and how large; the server spends its slots and the network on it.
   *
   * @param {Scene} scene
   */
  lookAt(scene) {
    this.#wishes.look(wishOf(this.store.state, scene, globalThis.devicePixelRatio));
    const more = slotsFor(picturesIn(this.store.state, scene), this.#videoSlots);
    if (more !== null) void this.#grow(more);
  }

  /** Sound alone, pictures in spite of the network, or as the network allows. @param {import('../state/audio-only.js').AudioOnly['choice']} choice */
  chooseAudioOnly(choice) {
    this.store.dispatch({ type: 'audioOnly', choice });
    this.#applyAudioOnly();
  }

  /** Stops and begins pictures both ways, as the state says; said again it does nothing. */
  #applyAudioOnly() {
    const { active, trial } = this.store.state.audioOnly;
    this.devices.publisher.allow(!active ? 'all' : trial ? 'lowest' : 'nothing');
    this.#mutes.reconcile('camera');
    this.#wishes.tell();
  }

  async leave() {
    const goodbye = this.#connection.request(messages.leave, { early: true, timeoutMs: LEAVE_TIMEOUT_MS }).catch(() => {});
    this.devices.close();
    this.store.dispatch({ type: 'ended', ending: 'left' });
    await goodbye;
    this.dispose();
  }

  /** Lets go of devices, elements and connections. */
  dispose() {
    if (this.#over) return;
    this.#over = true;
    this.#wishes.close();
    for (const end of this.#endings) end();
    this.#connection.close();
    this.devices.close();
    this.transport?.close();
    this.receiver.close();
  }

  /** @param {EndReason} reason */
  #ended(reason) {
    if (reason !== 'closed') this.store.dispatch({ type: 'ended', ending: reason });
    this.dispose();
  }

  /** @param {ServerMessage} message */
  #receive(message) {
    const before = this.store.state;
    this.store.dispatch({ type: 'server', message });
    switch (message.type) {
      case 'welcome':
        this.#welcomed(before);
        break;
      case 'event':
        if (this.store.state.thread.gap) this.#connection.resync();
        break;
      case 'slots':
        for (const { mid } of message.slots) this.#slotChanged(mid);
        break;
      case 'roster':
        if (this.store.state.order.gap) this.#connection.resync();
        this.#coverUnseen();
        this.#mutes.reconcileAll();
        break;
      case 'rights':
        if (!this.store.state.wanted.microphone) this.devices.silence('microphone');
        this.#mutes.reconcileAll();
        break;
      case 'publications':
        this.#coverUnseen();
        this.#mutes.reconcileAll();
        break;
      case 'demand':
        if (this.store.state.publications.get(message.publicationId)?.kind === 'camera') {
          this.devices.publisher.demand(message.highestLayer);
        }
        break;
      case 'health':
        if (this.store.state.audioOnly !== before.audioOnly) this.#applyAudioOnly();
        break;
      case 'phoneCalls':
        this.phones.told(message.calls);
        break;
      case 'muted':
        this.#mutes.mutedByServer(message.kind);
        this.devices.silence(message.kind);
        break;
      case 'media':
        if (message.state === 'lost' && this.#growing) this.#lostMeanwhile = true;
        else if (message.state === 'lost' && this.#answered && !this.#offering) void this.#offer();
        break;
      default:
        break;
    }
  }

  /** @param {MeetingState} before */
  #welcomed(before) {
    const { state } = this.store;
    this.#mutes.reset();
    this.#wishes.reset();
    const self = selfOf(state);
    const unmutedBefore = before.everOpen && selfOf(before)?.microphoneMuted === false;
    if (self?.hasMicrophone && self.microphoneMuted && unmutedBefore && state.wanted.microphone) {
      // Somebody silenced us while we were away; speaking on regardless would undo their act.
      this.store.dispatch({ type: 'server', message: { type: 'muted', kind: 'microphone', by: null } });
      this.devices.silence('microphone');
    }
    const known = [...state.publications.values()].some(({ participantId }) => participantId === state.self);
    if (!this.#answered || !known || this.#isBroken()) void this.#offer();
    this.#mutes.reconcileAll();
  }

  #isBroken() {
    const state = this.transport?.pc.connectionState;
    return state === 'failed' || state === 'closed';
  }

  #newTransport() {
    /** @type {Transport} */
    const transport = new Transport(this.#videoSlots, (state) => {
      if (transport === this.transport) this.#transportChanged(state);
    }, this.transport);
    return transport;
  }

  /** Offers the prepared transport, or a new one in the place of one that was offered before. */
  async #offer() {
    if (this.#offering || this.#over) return;
    this.#offering = true;
    if (this.transport === null || this.transport.pc.signalingState !== 'stable' || this.transport.pc.localDescription) {
      this.transport?.close();
      this.transport = this.#newTransport();
    }
    const { transport } = this;
    this.#answered = false;
    this.#lostMeanwhile = false;
    this.store.dispatch({ type: 'mediaState', media: 'connecting' });
    try {
      const { iceServers } = await this.#place;
      const sdp = await transport.offer(iceServers);
      this.store.dispatch({ type: 'offered', slots: transport.slots.map(({ mid, kind }) => ({ mid, kind })) });
      this.receiver.attach(transport.slots);
      this.devices.publisher.attach(transport);
      const build = (/** @type {number} */ id) => messages.offer(id, sdp, transport.lines);
      const answer = await this.#connection.request(build, { early: true, timeoutMs: OFFER_TIMEOUT_MS });
      if (answer.type === 'answer' && !this.#over) {
        await transport.answer(answer.sdp);
        this.#answered = true;
      }
    } catch (error) {
      this.#offerFailed(error);
    }
    this.#offering = false;
    this.#mutes.reconcileAll();
  }

  /**
   * Room for more pictures, by a further offer on the connection that stands.
   *
   * @param {number} videoSlots In all.
   */
  async #grow(videoSlots) {
    const { transport } = this;
    const isReady = this.#answered && !this.#offering && this.#connection.isOpen && !this.#isBroken();
    if (transport === null || this.#over || !isReady || performance.now() < this.#growAfter) return;
    this.#offering = true;
    this.#growing = true;
    const before = new Set(transport.slots.map(({ mid }) => mid));
    try {
      const sdp = await transport.offerMore(videoSlots);
      const answer = await this.#connection.request((id) => messages.offer(id, sdp, transport.lines), { timeoutMs: OFFER_TIMEOUT_MS });
      if (answer.type !== 'answer' || this.#over) return;
      await transport.answerMore(answer.sdp);
      this.#videoSlots = videoSlots;
      const added = transport.slots.filter(({ mid }) => !before.has(mid));
      this.receiver.add(added);
      this.store.dispatch({ type: 'grown', slots: added.map(({ mid, kind }) => ({ mid, kind })) });
    } catch (error) {
      this.#growAfter = performance.now() + BUSY_RETRY_MS;
      await transport.answerMore(null).catch(() => {});
      // The server has another idea of this connection than we: a new one has room for all.
      if (error instanceof RequestError && error.code === 'bad_offer') {
        this.#videoSlots = videoSlots;
        this.#lostMeanwhile = true;
      }
    } finally {
      this.#offering = false;
      this.#growing = false;
    }
    if (this.#lostMeanwhile || this.#isBroken()) void this.#offer();
  }

  /** @param {unknown} error */
  #offerFailed(error) {
    if (this.#over || !this.#connection.isOpen) return; // The next welcome offers again.
    const busy = error instanceof RequestError && error.code === 'server_busy';
    if (busy) {
      this.store.dispatch({ type: 'notice', notice: { code: 'busy' } });
    } else if (error instanceof RequestError && error.code !== 'timeout') {
      this.store.dispatch({ type: 'notice', notice: { code: 'refused', message: error.message } });
    }
    const again = () => {
      if (!this.#answered && this.#connection.isOpen) void this.#offer();
    };
    setTimeout(again, busy ? BUSY_RETRY_MS * (0.75 + Math.random() / 2) : OFFER_RETRY_MS);
  }

  /** @param {TransportState} state */
  #transportChanged(state) {
    if (state === 'connected') markOnce('plenum:connected');
    this.store.dispatch({ type: 'mediaState', media: state === 'failed' ? 'interrupted' : state });
    // Without a conversation there is nobody to offer to: `#welcomed` sees the broken transport.
    if (state === 'failed' && this.#connection.isOpen) void this.#offer();
    else if (state === 'failed') this.#answered = false;
  }

  /** @param {string} mid */
  #slotChanged(mid) {
    const { slots, shown } = this.store.state;
    const assigned = slots.get(mid)?.publicationId ?? null;
    if (assigned === null) {
      this.receiver.forget(mid);
    } else if (shown.has(mid) && shown.get(mid) !== assigned) {
      setTimeout(() => {
        const { state } = this.store;
        if (state.slots.get(mid)?.publicationId !== assigned || state.shown.get(mid) === assigned) return;
        this.store.dispatch({ type: 'shown', mid, publicationId: null });
        this.receiver.forget(mid);
      }, STALE_PICTURE_MS);
    }
  }

  /** A camera or screen that comes back starts behind its initials, not with the last picture of before. */
  #coverUnseen() {
    const { state } = this.store;
    for (const [mid, publicationId] of state.shown) {
      const publication = state.publications.get(publicationId);
      if (publication && isVisible(state, publication)) continue;
      this.store.dispatch({ type: 'shown', mid, publicationId: null });
      this.receiver.forget(mid);
    }
  }
}

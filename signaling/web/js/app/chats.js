/**
 * A signed-in person's chats while their page is open: reads what the state asks for, and does what the person wants.
 *
 * Why sending is here and not in the feed: acts go over plain HTTP, each with its answer, and so need no connection of
 * their own. What must not be lost (own messages, read marks) is tried again when the server can be reached; an own
 * message keeps its `clientMessageId`, so that it is the same one however often it is sent.
 *
 *   feed.js -> store (state/chats.js) -> ui/chats.js
 *   ui/chats.js -> here -> chats-http.js;  state.stale, an open chat without its page -> here -> chats-http.js -> store
 */

import { Feed } from '../protocol/feed.js';
import { ApiError } from '../protocol/http.js';
import { hasEarlier, TYPING_MS, unreadOf } from '../state/chat.js';
import { noChats, reduceChats } from '../state/chats.js';
import { Store } from '../state/store.js';
import { newId } from './ids.js';

/** @import { Mention } from '../protocol/chat-events.js' */
/** @import { FeedEnv } from '../protocol/feed.js' */
/** @import { News } from '../protocol/feed-messages.js' */
/** @import { Outgoing } from '../state/chat.js' */
/** @import { ChatsAction, ChatsState } from '../state/chats.js' */

/** @typedef {typeof import('../protocol/chats-http.js')} Api */
/** @typedef {{ text: string, mentions: Mention[], replyTo: number | null }} Draft */

/** Events in a page that is read backwards; more when a message far back is looked for. */
const PAGE = 60;
const PAGE_FAR = 200;
/** Pages that are read to reach a message far back. */
const PAGES_FAR = 15;
/** How often others are told that one writes. */
const SAY_TYPING_MS = 3_000;
/** After a refusal that passes by itself. */
const AGAIN_MS = 2_000;
/** Without an answer for a reason that passes: the network, a restart, too much at once. */
const PASSING = new Set([0, 408, 429, 502, 503, 504]);

/** @param {unknown} error */
const statusOf = (error) => (error instanceof ApiError ? error.status : -1);

export class Chats {
  /** @type {Api} */ #api;
  /** @type {Feed} */ #feed;
  /** @type {() => void} */ #signedOut;
  /** @type {(error: unknown) => string} */ #explain;
  #over = false;
  /** @type {Map<string, Promise<boolean>>} What is being asked for or sent at this moment. */ #busy = new Map();
  /** @type {Map<string, number>} Read marks that the server has. */ #told = new Map();
  /** @type {Map<string, number>} */ #typedAt = new Map();
  /** @type {Set<string>} Chats whose pages could not be read; tried again when the server is back. */ #unreadable = new Set();
  /** @type {Store<ChatsState, ChatsAction>} */ store;

  /**
   * @param {{ me: string, api: Api, env: FeedEnv, signedOut: () => void, explain: (error: unknown) => string, heard?: (message: News) => void }} options
   *   `heard`: of all news of the feed, for whom it concerns besides.
   */
  constructor({ me, api, env, signedOut, explain, heard = () => {} }) {
    this.#api = api;
    this.#signedOut = signedOut;
    this.#explain = explain;
    this.store = new Store(reduceChats, noChats(me));
    this.#feed = new Feed(env, {
      receive: (message) => {
        this.store.dispatch({ type: 'news', message, now: performance.now() });
        heard(message);
        if (message.type === 'typing') setTimeout(() => this.store.dispatch({ type: 'tick', now: performance.now() }), TYPING_MS + 20);
      },
      reload: () => void this.reload(),
      link: (link) => {
        this.store.dispatch({ type: 'link', link });
        if (link.phase === 'open') this.#backAgain();
      },
      refused: signedOut,
    });
    this.store.subscribe(() => this.#tend());
  }

  start() {
    this.#feed.start();
  }

  close() {
    this.#over = true;
    this.#feed.close();
  }

  networkChanged() {
    this.#feed.networkChanged();
  }

  /** @param {boolean} attentive */
  attend(attentive) {
    this.store.dispatch({ type: 'attention', attentive });
  }

  /** Reads the list anew. */
  async reload() {
    await this.#once('list', async () => {
      const { value, '@odata.nextLink': next } = await this.#api.listChats();
      this.store.dispatch({ type: 'listed', chats: value, next: next ?? null, anew: true });
    }, (error) => {
      this.store.dispatch({ type: 'failed' });
      if (PASSING.has(statusOf(error))) setTimeout(() => void this.reload(), AGAIN_MS);
    });
  }

  /** Reads the next page of the list. */
  async more() {
    const { next } = this.store.state;
    if (next === null) return;
    await this.#once('list', async () => {
      const page = await this.#api.listChats(next);
      this.store.dispatch({ type: 'listed', chats: page.value, next: page['@odata.nextLink'] ?? null, anew: false });
    });
  }

  /** @param {string | null} id */
  open(id) {
    this.store.dispatch({ type: 'opened', id });
    this.#tend();
  }

  /** Reads a page backwards. @param {string} id @param {number} [top] @returns {Promise<boolean>} Whether there was one. */
  async loadEarlier(id, top = PAGE) {
    const chat = this.store.state.chats.get(id);
    if (!chat || !hasEarlier(chat)) return false;
    const before = chat.floor + 1;
    return this.#once(`page ${id}`, async () => {
      const { value, '@odata.nextLink': next } = await this.#api.pageBefore(id, before, top);
      const floor = next === undefined ? 0 : (value[0]?.seq ?? 1) - 1;
      this.store.dispatch({ type: 'paged', id, events: value, before, floor: Math.max(floor, chat.visibleAfter) });
    }, () => this.#unreadable.add(id));
  }

  /** Reads backwards until a message is here. @param {string} id @param {number} seq @returns {Promise<boolean>} */
  async reach(id, seq) {
    for (let pages = 0; pages < PAGES_FAR; pages += 1) {
      const chat = this.store.state.chats.get(id);
      if (!chat || seq <= chat.visibleAfter) return false;
      if (chat.floor < seq) return true;
      if (!(await this.loadEarlier(id, PAGE_FAR))) return false;
    }
    return false;
  }

  /** @param {string} id @param {Draft} draft */
  send(id, draft) {
    this.#queue(id, { ...draft, clientMessageId: newId(), state: 'sending', seq: 0, problem: '' });
  }

  /** @param {string} id @param {Outgoing} own */
  retry(id, own) {
    this.#queue(id, { ...own, state: 'sending', problem: '' });
  }

  /** @param {string} id @param {Outgoing} own */
  discard(id, { clientMessageId }) {
    this.store.dispatch({ type: 'discarded', id, clientMessageId });
  }

  /** @param {string} id @param {Outgoing} own */
  #queue(id, own) {
    this.#typedAt.delete(id);
    this.store.dispatch({ type: 'queued', id, own });
    void this.#flush(id);
  }

  /** Sends what waits, one after the other, so that the order holds. @param {string} id */
  async #flush(id) {
    await this.#once(`send ${id}`, async () => {
      for (;;) {
        const own = this.store.state.chats.get(id)?.pending.find(({ state }) => state === 'sending' || state === 'waiting');
        if (!own || this.#over) return;
        if (!(await this.#sendOne(id, own))) return;
      }
    });
  }

  /** @param {string} id @param {Outgoing} own @returns {Promise<boolean>} Whether the next one can go. */
  async #sendOne(id, { clientMessageId, text, mentions, replyTo }) {
    /** @param {Partial<Outgoing>} change */
    const settle = (change) => this.store.dispatch({ type: 'settled', id, clientMessageId, change });
    try {
      const { seq } = await this.#api.sendMessage(id, {
        clientMessageId,
        text,
        ...(mentions.length > 0 && { mentions: mentions.map(({ userId }) => userId) }),
        ...(replyTo !== null && { replyTo }),
      });
      settle({ state: 'sent', seq });
      return true;
    } catch (error) {
      if (statusOf(error) === 401) throw error;
      if (!PASSING.has(statusOf(error))) {
        settle({ state: 'failed', problem: this.#explain(error) });
        return true;
      }
      settle({ state: 'waiting' });
      setTimeout(() => void this.#flush(id), AGAIN_MS);
      return false;
    }
  }

  /** The person has what is open before their eyes, up to its end. @param {string} id */
  read(id) {
    const { chats, attentive, me } = this.store.state;
    const chat = chats.get(id);
    if (!chat || !attentive || unreadOf(chat, me) === 0) return;
    this.store.dispatch({ type: 'read', id, seq: chat.lastSeq });
    void this.#tellRead(id);
  }

  /** @param {string} id */
  async #tellRead(id) {
    await this.#once(`read ${id}`, async () => {
      for (;;) {
        const seq = this.store.state.chats.get(id)?.readUpTo ?? 0;
        if (seq <= (this.#told.get(id) ?? 0)) return;
        // Set before it is known, so that a refusal is not repeated at once.
        const before = this.#told.get(id) ?? 0;
        this.#told.set(id, seq);
        await this.#api.markRead(id, seq).catch((error) => {
          this.#told.set(id, before);
          throw error;
        });
      }
    });
  }

  /** @param {string} id */
  typing(id) {
    const now = performance.now();
    if (now - (this.#typedAt.get(id) ?? -Infinity) < SAY_TYPING_MS) return;
    this.#typedAt.set(id, now);
    // Of the moment only: whether it arrives matters to nobody.
    void this.#api.sayTyping(id).catch(() => {});
  }

  /** Everything that failed for want of a server. */
  #backAgain() {
    this.#unreadable.clear();
    for (const [id, { pending, readUpTo }] of this.store.state.chats) {
      if (pending.length > 0) void this.#flush(id);
      if ((this.#told.get(id) ?? readUpTo) < readUpTo) void this.#tellRead(id);
    }
    if (this.store.state.phase === 'failed') void this.reload();
    this.#tend();
  }

  /** Reads what the state asks for. */
  #tend() {
    if (this.#over) return;
    const { stale, absent, openId, chats, phase } = this.store.state;
    if (phase === 'loading') return;
    for (const id of stale.keys()) void this.#ask(id);
    if (openId === null || absent.has(openId) || this.#unreadable.has(openId)) return;
    const chat = chats.get(openId);
    if (!chat) void this.#ask(openId);
    // With all that is new in it, if that is not too much.
    else if (chat.events.length === 0 && hasEarlier(chat)) void this.loadEarlier(openId, Math.min(PAGE_FAR, Math.max(PAGE, chat.lastSeq - chat.readUpTo + PAGE / 2)));
  }

  /** @param {string} id */
  async #ask(id) {
    if (this.#unreadable.has(id)) return;
    await this.#once(`chat ${id}`, async () => {
      const isNew = !this.store.state.chats.has(id);
      try {
        this.store.dispatch({ type: 'summary', chat: await this.#api.readChat(id) });
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
        this.store.dispatch({ type: 'gone', id });
        return;
      }
      // For its last line.
      if (isNew) await this.loadEarlier(id, PAGE);
    }, () => this.#unreadable.add(id));
  }

  /**
   * Does one thing of a kind at a time; who comes while it is done waits for the same.
   *
   * @param {string} what @param {() => Promise<void>} how @param {(error: unknown) => void} [failed]
   * @returns {Promise<boolean>} Whether it was done.
   */
  #once(what, how, failed = () => {}) {
    const under = this.#busy.get(what);
    if (under || this.#over) return under ?? Promise.resolve(false);
    const done = this.#try(how, failed).finally(() => this.#busy.delete(what));
    this.#busy.set(what, done);
    return done;
  }

  /** @param {() => Promise<void>} how @param {(error: unknown) => void} failed @returns {Promise<boolean>} */
  async #try(how, failed) {
    try {
      await how();
      return true;
    } catch (error) {
      if (statusOf(error) === 401) {
        this.close();
        this.#signedOut();
      } else failed(error);
      return false;
    }
  }
}

/**
 * The chats page: the list at one side, one chat at the other; on a phone one of them at a time.
 *
 * Why the page outlives its addresses: `/#/chats` and `/#/chats/{id}` are the same page, so that going from chat to chat
 * costs no new subscription, and what was written and not sent is still there when one comes back.
 *
 *   address -> open -> thread;   store -> update -> list, thread, title, spoken line
 */

import { watchAttention, watchNetwork } from '../app/browser.js';
import { chatHref } from '../protocol/http.js';
import { unreadInAll } from '../state/chats.js';
import { chats as words } from '../text/en-chats.js';
import { brand } from './brand.js';
import { openCreate } from './chat-create.js';
import { createChatList } from './chat-list.js';
import { createSearch } from './chat-search.js';
import { createThread } from './chat-thread.js';
import { titleOf } from './chat-words.js';
import { h, icon, setHidden, setText } from './dom.js';

/** @import { Chats } from '../app/chats.js' */
/** @import { Mention } from '../protocol/chat-events.js' */
/** @import { ChatsState } from '../state/chats.js' */

/**
 * @param {object} context
 * @param {Chats} context.chats
 * @param {typeof import('../protocol/chats-http.js')} context.api
 * @param {(chatId: string) => Promise<string | null>} context.joinLink
 * @param {import('./call-line.js').CallerNumber} context.callerNumber
 */
export function createChats({ chats, api, joinLink, callerNumber }) {
  const { store } = chats;
  /** @type {Map<string, { text: string, picked: Mention[] }>} */
  const drafts = new Map();
  /** @type {ReturnType<typeof createThread> | null} */
  let thread = null;
  let announced = 0;

  const list = createChatList({ more: () => void chats.more() });
  const search = createSearch({
    search: api.searchMessages,
    state: () => store.state,
    changed: (isSearching) => setHidden(list.element, isSearching),
  });
  const creating = h(
    'button',
    { class: 'button primary small', attrs: { type: 'button' }, on: { click: () => openCreate({ api, me: store.state.me, created: (id) => window.location.assign(chatHref(id)) }) } },
    icon('plus'),
    words.create.open,
  );
  const gone = h('p', { class: 'callout chats-gone', attrs: { role: 'status', hidden: true } });
  const empty = h('p', { class: 'panel-empty thread-none' }, words.pick);
  const place = h('div', { class: 'chats-thread' }, empty);
  const main = h(
    'main',
    { class: 'chats', attrs: { id: 'main' } },
    h(
      'section',
      { class: 'chats-list', attrs: { 'aria-labelledby': 'chats-heading' } },
      h('header', { class: 'chats-list-head' }, h('h1', { attrs: { id: 'chats-heading', tabindex: '-1' } }, words.heading), creating),
      search.element,
      list.element,
      search.results,
    ),
    place,
  );
  const spoken = h('p', { class: 'visually-hidden', attrs: { 'aria-live': 'polite' } });
  const head = brand();
  head.append(h('a', { class: 'button quiet', attrs: { href: '/' } }, words.toStart));
  const element = h('div', { class: 'page chats-page' }, head, gone, main, spoken);

  /** @param {ChatsState} state */
  const update = (state) => {
    list.update(state);
    thread?.update(state);
    const lost = state.link.phase !== 'open' && state.phase === 'ready' && (state.link.attempt > 0 || state.link.phase === 'waiting');
    setText(gone, lost ? words.connectionGone : '');
    setHidden(gone, !lost);
    document.title = words.title(unreadInAll(state));
    const { announcement } = state;
    if (announcement && announcement.id !== announced) {
      announced = announcement.id;
      const chat = state.chats.get(announcement.chatId);
      const isOpen = announcement.chatId === state.openId;
      setText(spoken, isOpen || !chat ? words.by(announcement.name, announcement.text) : words.newIn(announcement.name, titleOf(chat, state.me)));
    }
  };

  const ends = [
    store.subscribe(update),
    watchAttention((attentive) => chats.attend(attentive)),
    watchNetwork(() => chats.networkChanged()),
  ];
  update(store.state);

  return {
    element,
    /** @param {string | null} id @param {number | null} seq A message to show. */
    open(id, seq) {
      if (thread?.id !== id) {
        if (thread) drafts.set(thread.id, thread.draft());
        thread?.dispose();
        const before = thread?.id;
        thread = id === null ? null : createThread(id, { chats, api, joinLink, callerNumber });
        place.replaceChildren(thread?.element ?? empty);
        main.dataset.view = id === null ? 'list' : 'thread';
        const draft = id === null ? undefined : drafts.get(id);
        if (draft) thread?.restore(draft);
        chats.open(id);
        update(store.state);
        focusOn(before);
      }
      if (seq !== null) thread?.goTo(seq);
    },
    dispose() {
      for (const end of ends) end();
      thread?.dispose();
      chats.close();
    },
  };

  /** Whoever opened a chat goes on in it; whoever came back goes on where they were in the list. @param {string | undefined} before */
  function focusOn(before) {
    const isPhone = window.matchMedia('(max-width: 720px)').matches;
    if (thread && isPhone) thread.focusTitle();
    else if (thread) thread.focus();
    else if (before !== undefined) {
      const row = list.element.querySelector(`[data-chat-id="${CSS.escape(before)}"] a`);
      if (row instanceof HTMLElement) row.focus();
    }
  }
}

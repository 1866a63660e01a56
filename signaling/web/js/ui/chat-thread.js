/**
 * One chat: its head, what was said, who writes, the box to write in.
 *
 * Why scrolling is by hand: what is put before what one reads must not move it, what comes at the end is followed only
 * by whoever is at the end, and no browser does both alike. Being at the end, with the page looked at, is to have read.
 *
 *   state -> update -> entriesOf -> keyed entries;   scrolled to the top -> loadEarlier;   at the end -> read
 */

import { hasEarlier, unreadOf } from '../state/chat.js';
import { entriesOf, seenBy } from '../state/transcript.js';
import { chats as words } from '../text/en-chats.js';
import { paintChatFace } from './chat-list.js';
import { createComposer } from './chat-composer.js';
import { openMembers } from './chat-members.js';
import { createMenu } from './chat-menu.js';
import { createEntry } from './chat-message.js';
import { titleOf } from './chat-words.js';
import { confirmDialog } from './dialog.js';
import { h, icon, keyed, setHidden, setText } from './dom.js';
import { explain } from './problems.js';

/** @import { Chats } from '../app/chats.js' */
/** @import { Reaction } from '../protocol/chat-events.js' */
/** @import { MessageEvent_ } from '../protocol/messages.js' */
/** @import { Chat } from '../state/chat.js' */
/** @import { ChatsState } from '../state/chats.js' */
/** @import { EntryView } from './chat-message.js' */

/**
 * @typedef {object} ThreadContext
 * @property {Chats} chats
 * @property {typeof import('../protocol/chats-http.js')} api
 * @property {(chatId: string) => Promise<string | null>} joinLink Of the meeting, where one has it.
 */

/** Closer to the end than this, the list follows new messages. */
const FOLLOW_PX = 80;
/** Closer to the beginning than this, more is read. */
const EARLIER_PX = 600;

/** @param {string} id @param {ThreadContext} context */
export function createThread(id, { chats, api, joinLink }) {
  const { me } = chats.store.state;
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {WeakMap<HTMLElement, EntryView>} */
  const views = new WeakMap();
  /** @type {Chat | null} */
  let shown = null;
  /** Whether the end is to be followed. */
  let follows = true;
  let placed = false;
  /** @type {number | null} */
  let wanted = null;

  const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
  const title = h('h2', { class: 'thread-title', attrs: { tabindex: '-1' } });
  const note = h('p', { class: 'thread-note' });
  const joining = h('a', { class: 'button small', attrs: { hidden: true } }, words.thread.join);
  const people = h(
    'button',
    { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': words.thread.people, title: words.thread.people }, on: { click: () => shown && openMembers(shown.id, { chats, api }) } },
    icon('people'),
  );
  const head = h(
    'header',
    { class: 'thread-head' },
    h('a', { class: 'button icon-only quiet thread-back', attrs: { href: '/#/chats', 'aria-label': words.thread.back } }, icon('previous')),
    face,
    h('div', { class: 'thread-words' }, title, note),
    joining,
    people,
  );
  const top = h('p', { class: 'thread-top', attrs: { role: 'status' } });
  const log = h('ol', { class: 'thread-log' });
  const seen = h('p', { class: 'thread-seen' });
  const scroll = h(
    'div',
    {
      class: 'thread-scroll',
      // New messages are told by a line of their own: this region also grows backwards.
      attrs: { role: 'log', 'aria-label': words.thread.log, 'aria-live': 'off', tabindex: '0' },
      on: { scroll: () => scrolled(), keydown: (/** @type {KeyboardEvent} */ event) => rove(event) },
    },
    top,
    log,
    seen,
  );
  const toEnd = h(
    'button',
    { class: 'button thread-to-end', attrs: { type: 'button', hidden: true }, on: { click: () => goToEnd() } },
    icon('next'),
    words.thread.toEnd,
  );
  // For eyes only: told aloud it would talk over what is being read.
  const typing = h('p', { class: 'thread-typing' });
  const gone = h('p', { class: 'panel-empty', attrs: { hidden: true } }, words.thread.gone);

  const menu = createMenu({
    react: (event, reaction) => act(api.reactTo(id, event.seq, reaction)),
    reply: (event) => composer.reply(event),
    edit: (event) => composer.change(event),
    remove: (event) =>
      confirmDialog({ heading: words.message.removeHeading, text: words.message.removeText, confirm: words.message.remove }, () => act(api.deleteMessage(id, event.seq))),
  });
  const composer = createComposer({
    me,
    members: () => shown?.members ?? [],
    send: (draft) => {
      follows = true;
      chats.send(id, draft);
    },
    edit: (event, text, mentions) =>
      api.editMessage(id, event.seq, text, mentions.map(({ userId }) => userId)).then(() => null, explain),
    lastOwn: () => {
      const last = shown?.events.findLast((event) => event.kind === 'message' && event.from.userId === me && !event.deleted);
      return last?.kind === 'message' ? last : null;
    },
    typing: () => chats.typing(id),
  });
  const problem = h('p', { class: 'problem thread-problem', attrs: { role: 'alert' } });
  const element = h(
    'section',
    { class: 'thread', attrs: { 'aria-label': words.thread.log } },
    head,
    h('div', { class: 'thread-middle' }, scroll, gone, toEnd),
    problem,
    typing,
    composer.element,
    menu.element,
  );

  /** @param {Promise<unknown>} done */
  const act = (done) => {
    setText(problem, '');
    done.catch((error) => setText(problem, explain(error)));
  };

  const entryContext = {
    me,
    /** @param {MessageEvent_} event @param {HTMLElement} button */
    openMenu: (event, button) => {
      const own = event.from.userId === me;
      const mayRemove = own || (shown?.role === 'owner' && shown.chatType !== 'oneOnOne');
      menu.open({ event, mayEdit: own, mayRemove, mine: event.reactions?.[me] ?? null }, button);
    },
    /** @param {MessageEvent_} event @param {Reaction | null} reaction */
    react: (event, reaction) => act(api.reactTo(id, event.seq, reaction)),
    /** @param {number} seq */
    goTo: (seq) => void goTo(seq),
    /** @param {import('../state/chat.js').Outgoing} own */
    retry: (own) => chats.retry(id, own),
    /** @param {import('../state/chat.js').Outgoing} own */
    discard: (own) => chats.discard(id, own),
  };

  const fromEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
  const goToEnd = () => {
    follows = true;
    scroll.scrollTop = scroll.scrollHeight;
    scrolled();
  };

  const scrolled = () => {
    if (!placed) return;
    follows = fromEnd() < FOLLOW_PX;
    setHidden(toEnd, fromEnd() < 400);
    if (scroll.scrollTop < EARLIER_PX && shown && shown.events.length > 0) void chats.loadEarlier(id);
    if (follows) chats.read(id);
  };

  /** One stop for Tab among all messages; arrow keys go from one to the next. @param {KeyboardEvent} event */
  const rove = (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const buttons = /** @type {HTMLElement[]} */ ([...log.querySelectorAll('.post-more:not([hidden])')]);
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (step === undefined || at < 0) return;
    event.preventDefault();
    const next = buttons[at + step];
    if (!next) return;
    putStop(next);
    next.focus();
  };
  /** @param {HTMLElement | undefined} stop */
  const putStop = (stop) => {
    for (const button of log.querySelectorAll('.post-more[tabindex="0"]')) if (button !== stop) button.setAttribute('tabindex', '-1');
    stop?.setAttribute('tabindex', '0');
  };

  /** Shows a message, however far back. @param {number} seq */
  const goTo = async (seq) => {
    wanted = seq;
    if (!(await chats.reach(id, seq)) || wanted !== seq) {
      if (wanted === seq) setText(problem, words.search.tooFar);
      return;
    }
    setText(problem, '');
    // After the state that holds it is painted.
    requestAnimationFrame(() => point(seq));
  };
  /** @param {number} seq */
  const point = (seq) => {
    const found = log.querySelector(`[data-seq="${seq}"]`);
    if (!(found instanceof HTMLElement)) return;
    follows = false;
    placed = true;
    found.scrollIntoView({ block: 'center' });
    found.classList.add('is-pointed');
    found.focus({ preventScroll: true });
    setTimeout(() => found.classList.remove('is-pointed'), 2_000);
  };

  /** @param {Chat} chat */
  const paintHead = (chat) => {
    const name = titleOf(chat, me);
    setText(title, name);
    element.setAttribute('aria-label', name);
    paintChatFace(face, chat, name);
    setText(note, chat.chatType === 'oneOnOne' ? '' : words.thread.count(chat.members.length));
    setHidden(note, chat.chatType === 'oneOnOne');
    setHidden(people, chat.chatType === 'oneOnOne');
    if (chat.chatType === 'meeting') findJoinLink();
  };

  /** @param {Chat} chat */
  const paintLog = (chat) => {
    const isFirst = !placed;
    const anchor = scroll.scrollHeight - scroll.scrollTop;
    const grewBefore = shown !== null && shown.floor > chat.floor;
    const entries = entriesOf(chat, me);
    keyed(log, elements, entries, ({ key }) => key, (entry) => {
      const view = createEntry(entry, entryContext);
      views.set(view.element, view);
      return view.element;
    });
    for (const entry of entries) {
      const entryElement = elements.get(entry.key);
      if (entryElement) views.get(entryElement)?.paint(entry, chat);
    }
    if (!log.querySelector('.post-more[tabindex="0"]:not([hidden])')) {
      putStop(/** @type {HTMLElement | undefined} */ ([...log.querySelectorAll('.post-more:not([hidden])')].at(-1)));
    }
    paintTop(chat, entries.length);
    const names = seenBy(chat, me);
    setText(seen, names === null || names.length === 0 ? '' : chat.chatType === 'oneOnOne' ? words.thread.seen : words.thread.seenBy(names.join(', ')));
    if (isFirst && chat.events.length > 0) placeFirst();
    else if (follows) scroll.scrollTop = scroll.scrollHeight;
    else if (grewBefore) scroll.scrollTop = scroll.scrollHeight - anchor;
  };

  /** A chat opens where the new part begins, or at its end. */
  const placeFirst = () => {
    placed = true;
    const divider = log.querySelector('[data-kind="new"]');
    scroll.scrollTop = scroll.scrollHeight;
    if (divider instanceof HTMLElement && divider.getBoundingClientRect().top < scroll.getBoundingClientRect().top) {
      divider.scrollIntoView({ block: 'start' });
      follows = false;
    }
    // Scrolling may not have moved anything.
    requestAnimationFrame(scrolled);
  };

  /** @param {Chat} chat @param {number} count */
  const paintTop = (chat, count) => {
    const text = hasEarlier(chat) ? words.thread.loading : count === 0 ? words.thread.empty : '';
    setText(top, text);
    setHidden(top, text === '');
  };

  /** @param {Chat} chat */
  const paintTyping = (chat) => {
    const names = chat.members.filter(({ userId }) => chat.typing.has(userId)).map(({ displayName }) => displayName);
    setText(typing, names.length === 0 ? '' : words.thread.typing(names));
  };

  // A keyboard that opens, a box that grows: whoever is at the end stays there.
  const sizes = new ResizeObserver(() => {
    if (follows && placed) scroll.scrollTop = scroll.scrollHeight;
  });
  sizes.observe(scroll);

  let asked = false;
  /** Only meetings have one. */
  const findJoinLink = () => {
    if (asked) return;
    asked = true;
    void joinLink(id).then((href) => {
      if (href === null) return;
      joining.href = href;
      setHidden(joining, false);
    });
  };

  return {
    id,
    element,
    goTo: (/** @type {number} */ seq) => void goTo(seq),
    focus: () => composer.focus(),
    focusTitle: () => title.focus({ preventScroll: true }),
    draft: composer.draft,
    restore: composer.restore,
    /** @param {ChatsState} state */
    update(state) {
      const chat = state.chats.get(id) ?? null;
      const isGone = chat === null && (state.absent.has(id) || shown !== null);
      setHidden(gone, !isGone);
      setHidden(scroll, isGone);
      setHidden(composer.element, isGone);
      if (chat === null) return;
      if (chat !== shown) {
        paintHead(chat);
        paintLog(chat);
        paintTyping(chat);
        shown = chat;
      }
      // Read is what is before somebody's eyes.
      if (follows && placed && state.attentive && unreadOf(chat, me) > 0) chats.read(id);
    },
    dispose() {
      sizes.disconnect();
      menu.element.remove();
    },
  };
}

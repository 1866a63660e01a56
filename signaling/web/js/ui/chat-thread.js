/**
 * One chat: its head, what was said, who writes, the box to write in, and what is done with its messages.
 *
 *   state -> update -> head, chat-log.js, typing;   menu, composer -> app/chats.js, chats-http.js
 */

import { unreadOf } from '../state/chat.js';
import { chats as words } from '../text/en-chats.js';
import { createComposer } from './chat-composer.js';
import { paintChatFace } from './chat-list.js';
import { createLog } from './chat-log.js';
import { openMembers } from './chat-members.js';
import { createMenu } from './chat-menu.js';
import { titleOf } from './chat-words.js';
import { confirmDialog } from './dialog.js';
import { h, icon, setHidden, setText } from './dom.js';
import { explain } from './problems.js';

/** @import { Chats } from '../app/chats.js' */
/** @import { Reaction } from '../protocol/chat-events.js' */
/** @import { MessageEvent_ } from '../protocol/messages.js' */
/** @import { Chat } from '../state/chat.js' */
/** @import { ChatsState } from '../state/chats.js' */

/**
 * @typedef {object} ThreadContext
 * @property {Chats} chats
 * @property {typeof import('../protocol/chats-http.js')} api
 * @property {(chatId: string) => Promise<string | null>} joinLink Of the meeting, where one has it.
 * @property {import('./call-line.js').CallerNumber} callerNumber
 */

/** @param {string} id @param {ThreadContext} context */
export function createThread(id, { chats, api, joinLink, callerNumber }) {
  const { me } = chats.store.state;
  /** @type {Chat | null} */
  let shown = null;
  /** @type {number | null} A message that is looked for. */
  let wanted = null;

  const head = createHead({ me, joinLink, openPeople: () => openMembers(id, { chats, api }) });
  const problem = h('p', { class: 'problem thread-problem', attrs: { role: 'alert' } });
  // For eyes only: told aloud it would talk over what is being read.
  const typing = h('p', { class: 'thread-typing' });
  const gone = h('p', { class: 'panel-empty', attrs: { hidden: true } }, words.thread.gone);

  /** @param {Promise<unknown>} done */
  const act = (done) => {
    setText(problem, '');
    done.catch((error) => setText(problem, explain(error)));
  };
  /** @param {MessageEvent_} event @param {Reaction | null} reaction */
  const react = (event, reaction) => act(api.reactTo(id, event.seq, reaction));

  const menu = createMenu({
    react,
    reply: (event) => composer.reply(event),
    edit: (event) => composer.change(event),
    remove: (event) =>
      confirmDialog({ heading: words.message.removeHeading, text: words.message.removeText, confirm: words.message.remove }, () => act(api.deleteMessage(id, event.seq))),
  });
  const composer = createComposer({
    me,
    members: () => shown?.members ?? [],
    send: (draft) => {
      log.follow();
      chats.send(id, draft);
    },
    edit: (event, text, mentions) => api.editMessage(id, event.seq, text, mentions.map(({ userId }) => userId)).then(() => null, explain),
    lastOwn: () => {
      const last = shown?.events.findLast((event) => event.kind === 'message' && event.from.userId === me && !event.deleted);
      return last?.kind === 'message' ? last : null;
    },
    typing: () => chats.typing(id),
  });

  /** Shows a message, however far back. @param {number} seq */
  const goTo = async (seq) => {
    wanted = seq;
    const isHere = await chats.reach(id, seq);
    if (wanted !== seq) return;
    setText(problem, isHere ? '' : words.search.tooFar);
    // After the state that holds it is painted.
    if (isHere) requestAnimationFrame(() => log.point(seq));
  };

  const log = createLog({
    loadEarlier: () => void chats.loadEarlier(id),
    read: () => chats.read(id),
    entries: {
      me,
      react,
      openMenu: (event, button) => {
        const own = event.from.userId === me;
        const mayRemove = own || (shown?.role === 'owner' && shown.chatType !== 'oneOnOne');
        menu.open({ event, mayEdit: own, mayRemove, mine: event.reactions?.[me] ?? null }, button);
      },
      goTo: (seq) => void goTo(seq),
      retry: (own) => chats.retry(id, own),
      discard: (own) => chats.discard(id, own),
      // Others would be refused.
      callerNumber: async (event) => (shown?.role === 'owner' ? callerNumber(event) : null),
    },
  });

  const element = h('section', { class: 'thread', attrs: { 'aria-label': words.thread.log } }, head.element, h('div', { class: 'thread-middle' }, log.element, gone), problem, typing, composer.element, menu.element);

  return {
    id,
    element,
    /** @param {number} seq */
    goTo: (seq) => void goTo(seq),
    focus: () => composer.focus(),
    focusTitle: head.focus,
    draft: composer.draft,
    restore: composer.restore,
    /** @param {ChatsState} state */
    update(state) {
      const chat = state.chats.get(id) ?? null;
      const isGone = chat === null && (state.absent.has(id) || shown !== null);
      setHidden(gone, !isGone);
      setHidden(log.element, isGone);
      setHidden(composer.element, isGone);
      if (chat === null) return;
      if (chat !== shown) {
        shown = chat;
        head.update(chat);
        element.setAttribute('aria-label', titleOf(chat, me));
        log.update(chat);
        setText(typing, typingWords(chat));
      }
      // Read is what is before somebody's eyes.
      if (log.isAtEnd() && state.attentive && unreadOf(chat, me) > 0) chats.read(id);
    },
    dispose() {
      log.dispose();
      menu.element.remove();
    },
  };
}

/** @param {Chat} chat */
function typingWords({ members, typing }) {
  const names = members.filter(({ userId }) => typing.has(userId)).map(({ displayName }) => displayName);
  return names.length === 0 ? '' : words.thread.typing(names);
}

/** @param {{ me: string, joinLink: ThreadContext['joinLink'], openPeople: () => void }} context */
function createHead({ me, joinLink, openPeople }) {
  const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
  const title = h('h2', { class: 'thread-title', attrs: { tabindex: '-1' } });
  const note = h('p', { class: 'thread-note' });
  const joining = h('a', { class: 'button small', attrs: { hidden: true } }, words.thread.join);
  const people = h(
    'button',
    { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': words.thread.people, title: words.thread.people }, on: { click: openPeople } },
    icon('people'),
  );
  const back = h('a', { class: 'button icon-only quiet thread-back', attrs: { href: '/#/chats', 'aria-label': words.thread.back } }, icon('previous'));
  let asked = false;
  /** Only meetings have one. @param {string} id */
  const findJoinLink = async (id) => {
    if (asked) return;
    asked = true;
    const href = await joinLink(id);
    if (href === null) return;
    joining.href = href;
    setHidden(joining, false);
  };
  return {
    element: h('header', { class: 'thread-head' }, back, face, h('div', { class: 'thread-words' }, title, note), joining, people),
    focus: () => title.focus({ preventScroll: true }),
    /** @param {Chat} chat */
    update(chat) {
      const name = titleOf(chat, me);
      const isPair = chat.chatType === 'oneOnOne';
      setText(title, name);
      paintChatFace(face, chat, name);
      setText(note, isPair ? '' : words.thread.count(chat.members.length));
      setHidden(note, isPair);
      setHidden(people, isPair);
      if (chat.chatType === 'meeting') void findJoinLink(chat.id);
    },
  };
}

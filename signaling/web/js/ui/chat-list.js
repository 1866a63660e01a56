/**
 * The list of chats: who or what it is, its last line, how much in it is unread. The newest is first.
 */

import { chatHref } from '../protocol/http.js';
import { unreadOf } from '../state/chat.js';
import { inOrder } from '../state/chats.js';
import { chats as words } from '../text/en-chats.js';
import { lastLine, shortTime, titleOf } from './chat-words.js';
import { h, icon, keyed, setAttr, setHidden, setText } from './dom.js';
import { paintFace } from './tile.js';

/** @import { Chat } from '../state/chat.js' */
/** @import { ChatsState } from '../state/chats.js' */

/** @typedef {(chat: Chat, state: ChatsState) => void} PaintRow */

/** @param {{ more: () => void }} context */
export function createChatList({ more }) {
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {WeakMap<HTMLElement, PaintRow>} */
  const painters = new WeakMap();
  /** @type {ReadonlyMap<string, Chat> | null} */
  let shown = null;
  /** @type {string | null} */
  let open = null;
  const rows = h('ul', { class: 'chat-rows' });
  const note = h('p', { class: 'panel-empty', attrs: { role: 'status' } });
  const next = h('button', { class: 'button quiet', attrs: { type: 'button', hidden: true }, on: { click: more } }, words.more);
  const element = h('nav', { class: 'chat-list-scroll', attrs: { 'aria-label': words.heading } }, note, rows, next);

  return {
    element,
    /** @param {ChatsState} state */
    update(state) {
      const text = { loading: words.loading, failed: words.failed, ready: state.chats.size === 0 ? words.none : '' }[state.phase];
      setText(note, text);
      setHidden(note, text === '');
      setHidden(next, state.next === null);
      if (shown === state.chats && open === state.openId) return;
      [shown, open] = [state.chats, state.openId];
      const chats = inOrder(state);
      keyed(rows, elements, chats, ({ id }) => id, ({ id }) => {
        const { row, paint } = createRow(id);
        painters.set(row, paint);
        return row;
      });
      for (const chat of chats) {
        const row = elements.get(chat.id);
        if (row) painters.get(row)?.(chat, state);
      }
    },
  };
}

/** @param {string} id */
function createRow(id) {
  const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
  const name = h('b', { class: 'chat-row-name' });
  const line = h('span', { class: 'chat-row-line', attrs: { dir: 'auto' } });
  const time = h('time', { class: 'chat-row-time' });
  const count = h('span', { class: 'chat-row-unread', attrs: { 'aria-hidden': 'true' } });
  const said = h('span', { class: 'visually-hidden' });
  const link = h(
    'a',
    { class: 'chat-row', attrs: { href: chatHref(id) } },
    face,
    h('span', { class: 'chat-row-words' }, name, time, line, count, said),
  );
  const row = h('li', { data: { chatId: id } }, link);
  /** @type {PaintRow} */
  const paint = (chat, { me, openId }) => {
    const title = titleOf(chat, me);
    const unread = unreadOf(chat, me);
    setText(name, title);
    paintChatFace(face, chat, title);
    setText(line, lastLine(chat, me));
    setText(time, chat.preview ? shortTime(chat.preview.time) : '');
    setAttr(time, 'datetime', chat.preview?.time ?? null);
    setText(count, words.manyUnread(unread));
    setHidden(count, unread === 0);
    setText(said, unread === 0 ? '' : `, ${words.unread(unread)}`);
    setAttr(row, 'data-unread', String(unread));
    setAttr(link, 'aria-current', openId === id ? 'page' : null);
  };
  return { row, paint };
}

/** A person's letters, or a sign for many. @param {HTMLElement} face @param {Chat} chat @param {string} title */
export function paintChatFace(face, { chatType }, title) {
  if (face.dataset.title === title) return;
  face.dataset.title = title;
  paintFace(face, title);
  if (chatType === 'oneOnOne') return;
  face.replaceChildren(icon(chatType === 'meeting' ? 'camera' : 'people'));
}

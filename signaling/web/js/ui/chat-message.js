/**
 * One entry of a thread as an element: a message with its marks, one on its way, a day, a quiet line.
 *
 * Why entries repaint their parts and are never made anew: the place where one reads and the button that has the focus
 * stay, whatever others change.
 *
 *   entry (state/transcript.js) -> createEntry -> element, paint(entry) again with every change
 */

import { REACTIONS, keyOf } from '../protocol/chat-events.js';
import { recordingHref } from '../protocol/http.js';
import { clock, day } from '../text/format.js';
import { chats as words } from '../text/en-chats.js';
import { en } from '../text/en.js';
import { callLine } from './call-line.js';
import { lineOf } from './chat-words.js';
import { h, setAttr, setHidden } from './dom.js';
import { bodyOf } from './rich.js';

/** @import { Reaction } from '../protocol/chat-events.js' */
/** @import { MessageEvent_ } from '../protocol/messages.js' */
/** @import { Chat, Outgoing } from '../state/chat.js' */
/** @import { Answered, Entry, MessageEntry, OwnEntry } from '../state/transcript.js' */

/**
 * @typedef {object} EntryContext
 * @property {string} me
 * @property {(event: MessageEvent_, button: HTMLElement) => void} openMenu
 * @property {(event: MessageEvent_, reaction: Reaction | null) => void} react
 * @property {(seq: number) => void} goTo
 * @property {(own: Outgoing) => void} retry
 * @property {(own: Outgoing) => void} discard
 * @property {import('./call-line.js').CallerNumber} callerNumber
 */
/** @typedef {{ element: HTMLElement, paint: (entry: Entry, chat: Chat) => void }} EntryView */

/** @param {Entry} entry @param {EntryContext} context @returns {EntryView} */
export function createEntry(entry, context) {
  switch (entry.kind) {
    case 'day':
      return still(h('li', { class: 'thread-day' }, h('h3', {}, day(entry.time))));
    case 'new':
      return still(h('li', { class: 'thread-new', data: { kind: 'new' } }, h('span', {}, words.thread.newMessages)));
    case 'line':
      return still(
        h(
          'li',
          { class: 'thread-line', data: { seq: String(entry.event.seq), kind: entry.event.kind } },
          entry.event.kind === 'phoneCall' ? callLine(entry.event, context.callerNumber) : h('span', {}, lineOf(entry.event)),
          ' ',
          h('time', { attrs: { datetime: entry.event.time } }, clock(entry.event.time)),
          entry.event.kind === 'recordingReady' ? h('a', { attrs: { href: recordingHref(entry.event.recordingId) } }, en.chat.openRecording) : null,
        ),
      );
    case 'message':
    case 'own':
      return createPost(context);
  }
}

/** @param {HTMLElement} element @returns {EntryView} */
const still = (element) => ({ element, paint: () => {} });

/** A message, on its way or there: the same element for its whole life. @param {EntryContext} context @returns {EntryView} */
function createPost(context) {
  /** @type {MessageEntry | OwnEntry | null} */
  let shown = null;
  const from = h('p', { class: 'post-from' });
  const answered = h('button', { class: 'post-answered', attrs: { type: 'button' }, on: { click: () => shown?.answered && context.goTo(shown.answered.seq) } });
  const body = h('div', { class: 'post-body', attrs: { dir: 'auto' } });
  const more = h('button', {
    class: 'post-more',
    attrs: { type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', tabindex: '-1' },
    on: { click: () => shown?.kind === 'message' && context.openMenu(shown.event, more) },
  }, '⋯');
  const reactions = h('ul', { class: 'post-reactions' });
  const foot = h('p', { class: 'post-foot' });
  const element = h('li', { class: 'post', attrs: { tabindex: '-1' } }, from, answered, h('div', { class: 'post-line' }, body, more), reactions, foot);

  return {
    element,
    paint(entry, chat) {
      if (entry.kind !== 'message' && entry.kind !== 'own') return;
      const before = shown;
      shown = entry;
      const own = entry.kind === 'own' || entry.own;
      element.classList.toggle('is-own', own);
      element.classList.toggle('is-first', entry.first);
      paintData(element, entry);
      setHidden(from, !entry.first);
      setHidden(answered, entry.answered === null);
      if (entry.answered && changedAnswer(before?.answered ?? null, entry.answered)) paintAnswered(answered, entry.answered);
      if (entry.kind === 'own') {
        setHidden(more, true);
        from.replaceChildren();
        if (before?.kind !== 'own') body.replaceChildren(...bodyOf(entry.outgoing, context.me));
        paintState(foot, entry.outgoing, context);
        return;
      }
      const { event } = entry;
      if (before?.kind === 'message' && before.event === event && before.first === entry.first) {
        paintReactions(reactions, event, chat, context);
        return;
      }
      paintFrom(from, event, own);
      paintBody(body, event, context.me);
      element.classList.toggle('is-deleted', event.deleted === true);
      setHidden(more, event.deleted === true);
      setAttr(more, 'aria-label', own ? words.message.ownActions(clock(event.time)) : words.message.actions(event.from.displayName, clock(event.time)));
      paintReactions(reactions, event, chat, context);
      foot.replaceChildren(...(event.edited !== undefined && !event.deleted ? [words.thread.edited] : []));
    },
  };
}

/** @param {HTMLElement} element @param {MessageEntry | OwnEntry} entry */
function paintData(element, entry) {
  const isPending = entry.kind === 'own';
  setAttr(element, 'data-kind', isPending ? 'pending' : 'message');
  setAttr(element, 'data-seq', isPending ? null : String(entry.event.seq));
  setAttr(element, 'data-state', isPending ? entry.outgoing.state : null);
}

/** @param {HTMLElement} from @param {MessageEvent_} event @param {boolean} own */
function paintFrom(from, event, own) {
  const time = h('time', { attrs: { datetime: event.time } }, clock(event.time));
  from.replaceChildren(h('b', { class: own ? 'visually-hidden' : '' }, own ? en.you : event.from.displayName), ' ', time);
}

/** @param {HTMLElement} body @param {MessageEvent_} event @param {string} me */
function paintBody(body, event, me) {
  body.classList.toggle('is-rich', event.html !== undefined);
  body.replaceChildren(...(event.deleted ? [words.thread.deleted] : bodyOf(event, me)));
}

/** @param {Answered | null} before @param {Answered} now */
const changedAnswer = (before, now) => before?.event !== now.event || before.seq !== now.seq;

/** @param {HTMLElement} answered @param {Answered} what */
function paintAnswered(answered, { event }) {
  const name = event ? event.from.displayName : words.thread.answered;
  const text = event === null ? '' : event.deleted ? words.thread.deleted : event.text;
  answered.replaceChildren(h('span', { class: 'visually-hidden' }, words.thread.answers(name)), h('b', { attrs: { 'aria-hidden': 'true' } }, name), ' ', h('span', {}, text));
}

/** @param {HTMLElement} foot @param {Outgoing} own @param {EntryContext} context */
function paintState(foot, own, context) {
  const text = own.state === 'failed' ? `${words.thread.notSent} ${own.problem}`.trim() : own.state === 'waiting' ? words.thread.waiting : own.state === 'sending' ? words.thread.sending : '';
  if (foot.dataset.state === own.state) return;
  foot.dataset.state = own.state;
  foot.replaceChildren(h('span', { class: own.state === 'failed' ? 'problem' : '' }, text));
  if (own.state !== 'failed') return;
  foot.append(
    h('button', { class: 'button quiet small', attrs: { type: 'button' }, on: { click: () => context.retry(own) } }, en.tryAgain),
    h('button', { class: 'button quiet small', attrs: { type: 'button' }, on: { click: () => context.discard(own) } }, words.thread.discard),
  );
}

/** @param {HTMLElement} list @param {MessageEvent_} event @param {Chat} chat @param {EntryContext} context */
function paintReactions(list, event, chat, context) {
  const felt = Object.entries(event.reactions ?? {});
  const names = new Map(chat.members.map(({ userId, displayName }) => [userId, displayName]));
  const shape = JSON.stringify(felt);
  if (list.dataset.shape === shape) return;
  list.dataset.shape = shape;
  setHidden(list, felt.length === 0);
  const focused = list.contains(document.activeElement) ? document.activeElement?.getAttribute('data-reaction') : null;
  list.replaceChildren(
    ...REACTIONS.flatMap((reaction) => {
      const who = felt.filter(([, what]) => what === reaction).map(([key]) => key);
      if (who.length === 0) return [];
      const mine = who.includes(context.me);
      const people = who.map((key) => (key === context.me ? words.message.you : (names.get(key) ?? (key === keyOf(event.from) ? event.from.displayName : words.message.someone))));
      const button = h(
        'button',
        {
          class: `post-reaction${mine ? ' is-mine' : ''}`,
          data: { reaction },
          attrs: { type: 'button', 'aria-pressed': String(mine), title: people.join(', ') },
          on: { click: () => context.react(event, mine ? null : reaction) },
        },
        h('span', { class: 'visually-hidden' }, words.message.reacted(reaction, people, mine)),
        h('span', { attrs: { 'aria-hidden': 'true' } }, words.message.reactions[reaction].sign),
        h('span', { attrs: { 'aria-hidden': 'true' } }, String(who.length)),
      );
      return [h('li', {}, button)];
    }),
  );
  // The button that was pressed is a new one now.
  const again = focused && list.querySelector(`[data-reaction="${focused}"]`);
  if (again instanceof HTMLElement) again.focus();
}

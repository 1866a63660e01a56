/**
 * The chat panel: the thread in order, and a box to write.
 *
 * Why the list is kept by key: a message never moves or flickers when others come, and the place where one reads
 * stays. Only the newest part of a long thread is in the page; the rest comes on request.
 */

import { recordingHref } from '../protocol/http.js';
import { CHAT_TEXT_MAX } from '../protocol/messages.js';
import { clock, day } from '../text/format.js';
import { chats as chatsText } from '../text/en-chats.js';
import { en } from '../text/en.js';
import { callLine } from './call-line.js';
import { h, icon, keyed, setAttr, setHidden, setText } from './dom.js';
import { linked } from './links.js';
import { meetingLine } from './meeting-lines.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { ThreadEvent } from '../protocol/messages.js' */
/** @import { OwnMessage } from '../state/thread.js' */

/** Entries in the page at first, and more by each press of "earlier". */
const WINDOW = 200;
/** Messages of one person within this time share one heading. */
const GROUP_MS = 3 * 60_000;
/** Closer to the end than this, the list follows new messages. */
const FOLLOW_PX = 60;

/** @typedef {{ key: string, event: ThreadEvent, first: boolean, newDay: boolean } | { key: string, own: OwnMessage }} Entry */

/** A message that was changed or taken back gets an element of its own. @param {Extract<ThreadEvent, { kind: 'message' }>} event */
const stateKey = ({ id, edited = '', deleted = false }) => `${id} ${edited} ${deleted}`;

/** @param {readonly ThreadEvent[]} events @returns {Entry[]} */
function entriesOf(events) {
  /** @type {ThreadEvent | undefined} */
  let before;
  return events.flatMap((event) => {
    if (event.kind !== 'message' && meetingLine(event) === null) return [];
    const newDay = before !== undefined && day(before.time) !== day(event.time);
    const follows =
      before?.kind === 'message' &&
      event.kind === 'message' &&
      before.from.participantId === event.from.participantId &&
      before.from.displayName === event.from.displayName &&
      Date.parse(event.time) - Date.parse(before.time) < GROUP_MS;
    before = event;
    return [{ key: event.kind === 'message' ? stateKey(event) : event.id, event, first: !follows || newDay, newDay }];
  });
}

/**
 * @param {{ send: (text: string) => void, retry: (own: OwnMessage) => void, close: () => void, callerNumber: import('./call-line.js').CallerNumber }} context
 */
export function createChat({ send, retry, close, callerNumber }) {
  let limit = WINDOW;
  /** @type {MeetingState | null} */
  let last = null;
  const elements = new Map();
  const log = h('ol', { class: 'chat-log' });
  const empty = h('p', { class: 'panel-empty' }, en.chat.empty);
  const earlier = h('button', { class: 'button quiet small', attrs: { type: 'button' }, on: { click: () => showEarlier() } }, en.chat.earlier);
  const input = h('textarea', {
    class: 'input chat-input',
    attrs: { 'aria-label': en.chat.message, placeholder: en.chat.placeholder, rows: '1', maxlength: String(CHAT_TEXT_MAX), enterkeyhint: 'send' },
    on: {
      keydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        submit();
      },
      input: () => grow(),
    },
  });
  const form = h(
    'form',
    {
      class: 'chat-form',
      on: {
        submit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          submit();
        },
      },
    },
    input,
    h('button', { class: 'button icon-only', attrs: { type: 'submit', 'aria-label': en.chat.send } }, icon('send')),
  );
  const scroll = h(
    'div',
    { class: 'chat-scroll', attrs: { role: 'log', 'aria-label': en.chat.log, 'aria-live': 'polite', tabindex: '0' } },
    earlier,
    empty,
    log,
  );
  const element = h(
    'section',
    { class: 'panel-body', attrs: { 'aria-labelledby': 'panel-heading' } },
    panelHead(en.chat.heading, close),
    scroll,
    form,
  );

  const grow = () => {
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight + 2, 132)}px`;
  };
  const submit = () => {
    const text = input.value.trim();
    if (text === '') return;
    input.value = '';
    grow();
    send(text);
  };
  const showEarlier = () => {
    limit += WINDOW;
    const fromEnd = scroll.scrollHeight - scroll.scrollTop;
    if (last) update(last);
    scroll.scrollTop = scroll.scrollHeight - fromEnd;
  };

  /** @param {MeetingState} state */
  const update = (state) => {
    const isFirst = last === null;
    const follow = isFirst || scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < FOLLOW_PX;
    const changed = isFirst || last?.thread !== state.thread || last.link !== state.link;
    last = state;
    if (!changed) return;
    const all = entriesOf(state.thread.events);
    /** @type {Entry[]} */
    const entries = [...all.slice(-limit), ...state.thread.pending.map((own) => ({ key: `own-${own.clientMessageId}`, own }))];
    setHidden(earlier, all.length <= limit);
    setHidden(empty, entries.length > 0);
    keyed(log, elements, entries, ({ key }) => key, (entry) =>
      'own' in entry ? ownEntry(entry.own, retry) : eventEntry(entry, state.self, callerNumber),
    );
    for (const entry of entries) {
      const element = elements.get(entry.key);
      if ('own' in entry && element) paintOwn(element, entry.own, state.link.phase === 'open');
    }
    if (follow) scroll.scrollTop = scroll.scrollHeight;
  };
  return { element, update, focus: () => input.focus() };
}

/** @param {string} heading @param {() => void} close */
export function panelHead(heading, close) {
  return h(
    'header',
    { class: 'panel-head' },
    h('h2', { attrs: { id: 'panel-heading' } }, heading),
    h('button', { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': en.close }, on: { click: close } }, icon('close')),
  );
}

/** @param {Extract<Entry, { event: ThreadEvent }>} entry @param {string | null} self @param {import('./call-line.js').CallerNumber} callerNumber */
function eventEntry({ event, first, newDay }, self, callerNumber) {
  const dayMark = newDay ? h('p', { class: 'chat-day' }, day(event.time)) : null;
  if (event.kind !== 'message') {
    return h(
      'li',
      { class: 'chat-line', data: { seq: String(event.seq), kind: event.kind } },
      dayMark,
      event.kind === 'phoneCall' ? callLine(event, callerNumber) : h('span', {}, meetingLine(event) ?? ''),
      event.kind === 'recordingReady'
        ? h('a', { attrs: { href: recordingHref(event.recordingId), target: '_blank', rel: 'noopener' } }, en.chat.openRecording)
        : null,
    );
  }
  const own = event.from.participantId === self;
  return h(
    'li',
    { class: `chat-message${own ? ' is-own' : ''}${first ? ' is-first' : ''}`, data: { seq: String(event.seq), kind: 'message' } },
    dayMark,
    first ? h('p', { class: 'chat-from' }, h('b', {}, event.from.displayName), ' ', h('time', { attrs: { datetime: event.time } }, clock(event.time))) : null,
    event.deleted
      ? h('p', { class: 'chat-text is-deleted' }, chatsText.thread.deleted)
      : h('p', { class: 'chat-text', attrs: { dir: 'auto' } }, ...linked(event.text)),
    event.edited && !event.deleted ? h('p', { class: 'chat-state' }, chatsText.thread.edited) : null,
  );
}

/** @param {OwnMessage} own @param {(own: OwnMessage) => void} retry */
function ownEntry(own, retry) {
  return h(
    'li',
    { class: 'chat-message is-own is-first', data: { kind: 'pending' } },
    h('p', { class: 'chat-text', attrs: { dir: 'auto' } }, ...linked(own.text)),
    h(
      'p',
      { class: 'chat-state' },
      h('span', {}),
      h('button', { class: 'button quiet small', attrs: { type: 'button' }, on: { click: () => retry(own) } }, en.tryAgain),
    ),
  );
}

/** @param {HTMLElement} element @param {OwnMessage} own @param {boolean} connected */
function paintOwn(element, own, connected) {
  const [state, retry] = element.querySelectorAll('.chat-state > *');
  setAttr(element, 'data-state', own.state);
  const words = own.state === 'failed' ? en.chat.failed : connected ? en.chat.sending : en.chat.waiting;
  if (state) setText(state, own.state === 'sent' ? '' : words);
  if (retry instanceof HTMLElement) setHidden(retry, own.state !== 'failed');
}

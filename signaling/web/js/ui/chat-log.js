/**
 * What was said in a chat, from the earliest that is here to the newest, and where in it one reads.
 *
 * Why scrolling is by hand: what is put before what one reads must not move it, what comes at the end is followed only
 * by whoever is at the end, and no browser does both alike. Being at the end, with the page looked at, is to have read.
 *
 *   chat -> update -> entriesOf -> keyed entries;   near the beginning -> loadEarlier;   at the end -> read
 */

import { hasEarlier } from '../state/chat.js';
import { entriesOf, seenBy } from '../state/transcript.js';
import { chats as words } from '../text/en-chats.js';
import { createEntry } from './chat-message.js';
import { h, icon, keyed, setHidden, setText } from './dom.js';

/** @import { Chat } from '../state/chat.js' */
/** @import { Entry } from '../state/transcript.js' */
/** @import { EntryContext, EntryView } from './chat-message.js' */

/**
 * @typedef {object} LogContext
 * @property {EntryContext} entries
 * @property {() => void} loadEarlier
 * @property {() => void} read The person has everything before their eyes.
 */

/** Closer to the end than this, the list follows new messages. */
const FOLLOW_PX = 80;
/** Further from the end than this, there is a button that leads there. */
const FAR_PX = 400;
/** Closer to the beginning than this, more is read. */
const EARLIER_PX = 600;
/** How long a message that was looked for is marked. */
const POINT_MS = 2_000;

/** @param {LogContext} context */
export function createLog({ entries: entryContext, loadEarlier, read }) {
  const { me } = entryContext;
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {WeakMap<HTMLElement, EntryView>} */
  const views = new WeakMap();
  /** @type {Chat | null} */
  let shown = null;
  /** Whether the end is to be followed. */
  let follows = true;
  /** Whether it was scrolled to where it opens. */
  let placed = false;

  const top = h('p', { class: 'thread-top', attrs: { role: 'status' } });
  const log = h('ol', { class: 'thread-log' });
  const seen = h('p', { class: 'thread-seen' });
  const scroll = h(
    'div',
    {
      class: 'thread-scroll',
      // New messages are told by a line of their own: this region also grows backwards.
      attrs: { role: 'log', 'aria-label': words.thread.log, 'aria-live': 'off', tabindex: '0' },
      on: { scroll: () => scrolled(), keydown: (/** @type {KeyboardEvent} */ event) => rove(log, event) },
    },
    top,
    log,
    seen,
  );
  const toEnd = h('button', { class: 'button thread-to-end', attrs: { type: 'button', hidden: true }, on: { click: () => goToEnd() } }, icon('next'), words.thread.toEnd);

  const fromEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
  const goToEnd = () => {
    follows = true;
    scroll.scrollTop = scroll.scrollHeight;
    scrolled();
  };
  const scrolled = () => {
    if (!placed) return;
    follows = fromEnd() < FOLLOW_PX;
    setHidden(toEnd, fromEnd() < FAR_PX);
    if (scroll.scrollTop < EARLIER_PX && shown && shown.events.length > 0) loadEarlier();
    if (follows) read();
  };
  // A keyboard that opens, a box that grows: whoever is at the end stays there.
  const sizes = new ResizeObserver(() => {
    if (follows && placed) scroll.scrollTop = scroll.scrollHeight;
  });
  sizes.observe(scroll);

  /** @param {readonly Entry[]} entries @param {Chat} chat */
  const paintEntries = (entries, chat) => {
    keyed(log, elements, entries, ({ key }) => key, (entry) => {
      const view = createEntry(entry, entryContext);
      views.set(view.element, view);
      return view.element;
    });
    for (const entry of entries) {
      const element = elements.get(entry.key);
      if (element) views.get(element)?.paint(entry, chat);
    }
    keepStop(log);
  };

  /** A chat opens where the new part begins, or at its end. */
  const placeFirst = () => {
    placed = true;
    scroll.scrollTop = scroll.scrollHeight;
    const divider = log.querySelector('[data-kind="new"]');
    if (divider && divider.getBoundingClientRect().top < scroll.getBoundingClientRect().top) {
      divider.scrollIntoView({ block: 'start' });
      follows = false;
    }
    // Scrolling may not have moved anything.
    requestAnimationFrame(scrolled);
  };

  return {
    element: h('div', { class: 'thread-middle' }, scroll, toEnd),
    /** @param {Chat} chat */
    update(chat) {
      const anchor = scroll.scrollHeight - scroll.scrollTop;
      const grewBefore = shown !== null && shown.floor > chat.floor;
      shown = chat;
      const entries = entriesOf(chat, me);
      paintEntries(entries, chat);
      paintNote(top, hasEarlier(chat) ? words.thread.loading : entries.length === 0 ? words.thread.empty : '');
      setText(seen, seenWords(chat, me));
      if (!placed && chat.events.length > 0) placeFirst();
      else if (follows) scroll.scrollTop = scroll.scrollHeight;
      else if (grewBefore) scroll.scrollTop = scroll.scrollHeight - anchor;
    },
    /** What is written now is to be seen. */
    follow() {
      follows = true;
    },
    /** Whether the end is before the person's eyes. */
    isAtEnd: () => follows && placed,
    /** @param {number} seq Of a message that is here. */
    point(seq) {
      const found = log.querySelector(`[data-seq="${seq}"]`);
      if (!(found instanceof HTMLElement)) return;
      follows = false;
      placed = true;
      found.scrollIntoView({ block: 'center' });
      found.classList.add('is-pointed');
      found.focus({ preventScroll: true });
      setTimeout(() => found.classList.remove('is-pointed'), POINT_MS);
    },
    dispose: () => sizes.disconnect(),
  };
}

/** @param {HTMLElement} note @param {string} text */
function paintNote(note, text) {
  setText(note, text);
  setHidden(note, text === '');
}

/** @param {Chat} chat @param {string} me */
function seenWords(chat, me) {
  const names = seenBy(chat, me) ?? [];
  if (names.length === 0) return '';
  return chat.chatType === 'oneOnOne' ? words.thread.seen : words.thread.seenBy(names.join(', '));
}

const STOPS = '.post-more:not([hidden])';

/** One stop for Tab among all messages: the newest, or where one was last. @param {HTMLElement} log */
function keepStop(log) {
  if (log.querySelector(`${STOPS}[tabindex="0"]`)) return;
  putStop(log, [...log.querySelectorAll(STOPS)].at(-1));
}

/** @param {HTMLElement} log @param {Element | undefined} stop */
function putStop(log, stop) {
  for (const button of log.querySelectorAll('.post-more[tabindex="0"]')) button.setAttribute('tabindex', '-1');
  stop?.setAttribute('tabindex', '0');
}

/** Arrow keys go from message to message. @param {HTMLElement} log @param {KeyboardEvent} event */
function rove(log, event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const buttons = /** @type {HTMLElement[]} */ ([...log.querySelectorAll(STOPS)]);
  const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  if (step === undefined || at < 0) return;
  event.preventDefault();
  const next = buttons[at + step];
  if (!next) return;
  putStop(log, next);
  next.focus();
}

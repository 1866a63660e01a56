/**
 * Search over all of one's chats: a field above the list; while something stands in it, hits are shown in its place.
 */

import { chatHref } from '../protocol/http.js';
import { chats as words } from '../text/en-chats.js';
import { shortTime, titleOf } from './chat-words.js';
import { h, icon, setHidden, setText } from './dom.js';

/** @import { Hit, Page } from '../protocol/chats-http.js' */
/** @import { ChatsState } from '../state/chats.js' */

/** Typing faster than this asks once. */
const PAUSE_MS = 220;

/**
 * @param {object} context
 * @param {(words: string, signal: AbortSignal) => Promise<Page<Hit>>} context.search
 * @param {() => ChatsState} context.state
 * @param {(isSearching: boolean) => void} context.changed
 */
export function createSearch({ search, state, changed }) {
  /** @type {AbortController | null} */
  let asking = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;
  const input = h('input', {
    class: 'input',
    attrs: { type: 'search', 'aria-label': words.search.label, placeholder: words.search.label, autocomplete: 'off', maxlength: '200' },
    on: {
      input: () => {
        clearTimeout(pause);
        pause = setTimeout(() => void ask(), PAUSE_MS);
      },
      keydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== 'Escape' || input.value === '') return;
        event.preventDefault();
        clear();
      },
    },
  });
  const clearing = h('button', { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': words.search.clear, hidden: true }, on: { click: () => clear() } }, icon('close'));
  const note = h('p', { class: 'hint search-note', attrs: { role: 'status' } });
  const hits = h('ul', { class: 'search-hits', attrs: { 'aria-label': words.search.label } });
  const results = h('div', { class: 'chat-list-scroll', attrs: { hidden: true } }, note, hits);

  const clear = () => {
    input.value = '';
    input.focus();
    void ask();
  };

  const ask = async () => {
    asking?.abort();
    const query = input.value.trim();
    const isSearching = query !== '';
    setHidden(clearing, !isSearching);
    setHidden(results, !isSearching);
    changed(isSearching);
    if (!isSearching) {
      setText(note, '');
      hits.replaceChildren();
      return;
    }
    const mine = (asking = new AbortController());
    try {
      const { value: found, '@odata.nextLink': more } = await search(query, mine.signal);
      if (mine.signal.aborted) return;
      setText(note, found.length === 0 ? words.search.none : words.search.found(found.length, more !== undefined));
      hits.replaceChildren(...found.map((hit) => hitRow(hit, state())));
    } catch {
      if (!mine.signal.aborted) setText(note, words.search.failed);
    }
  };

  return { element: h('search', { class: 'chat-search' }, input, clearing), results };
}

/** @param {Hit} hit @param {ChatsState} state */
function hitRow({ chatId, event }, { chats, me }) {
  const chat = chats.get(chatId);
  return h(
    'li',
    {},
    h(
      'a',
      { class: 'search-hit', attrs: { href: chatHref(chatId, event.seq) } },
      h('b', {}, chat ? titleOf(chat, me) : words.untitledGroup),
      h('time', { class: 'chat-row-time', attrs: { datetime: event.time } }, shortTime(event.time)),
      h('span', { class: 'search-text', attrs: { dir: 'auto' } }, words.by(event.from.displayName, event.text)),
    ),
  );
}

/**
 * Finds people of one's organisation by the beginning of a name or mail address, and keeps those who were chosen.
 *
 * Why a listbox under a combobox: the focus stays where one types; arrow keys and Enter choose; what was chosen stands
 * above as buttons that take it back.
 */

import { chats as words } from '../text/en-chats.js';
import { h, icon, setAttr, setHidden, setText } from './dom.js';
import { paintFace } from './tile.js';

/** @import { Person } from '../protocol/chats-http.js' */

/** Typing faster than this asks once. */
const PAUSE_MS = 180;
let serial = 0;

/**
 * @param {object} options
 * @param {(query: string, signal: AbortSignal) => Promise<Person[]>} options.search
 * @param {() => ReadonlySet<string>} options.without People who cannot be chosen: oneself, those who are in already.
 * @param {(chosen: readonly Person[]) => void} options.changed
 */
export function createPicker({ search, without, changed }) {
  const id = `picker-${(serial += 1)}`;
  /** @type {Person[]} */
  let chosen = [];
  /** @type {Person[]} */
  let found = [];
  let active = 0;
  /** @type {AbortController | null} */
  let asking = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let pause;

  const chips = h('ul', { class: 'picker-chosen', attrs: { 'aria-label': words.picker.chosen } });
  const input = h('input', {
    class: 'input',
    attrs: { id, type: 'text', role: 'combobox', autocomplete: 'off', spellcheck: 'false', 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': `${id}-list` },
    on: {
      input: () => later(),
      keydown: (/** @type {KeyboardEvent} */ event) => keys(event),
    },
  });
  const list = h('ul', { class: 'picker-found', attrs: { id: `${id}-list`, role: 'listbox', 'aria-label': words.picker.results, hidden: true } });
  const note = h('p', { class: 'hint', attrs: { role: 'status' } });
  const element = h('div', { class: 'field picker' }, h('label', { attrs: { for: id } }, words.picker.label), chips, input, note, list);

  const later = () => {
    clearTimeout(pause);
    pause = setTimeout(() => void ask(), PAUSE_MS);
  };

  const ask = async () => {
    asking?.abort();
    const query = input.value.trim();
    if (query === '') {
      offer([], '');
      return;
    }
    const mine = (asking = new AbortController());
    try {
      const people = await search(query, mine.signal);
      if (mine.signal.aborted) return;
      const taken = new Set([...without(), ...chosen.map((person) => person.id)]);
      const free = people.filter((person) => !taken.has(person.id));
      offer(free, free.length === 0 ? words.picker.none : words.picker.found(free.length));
    } catch {
      if (!mine.signal.aborted) offer([], words.picker.failed);
    }
  };

  /** @param {Person[]} people @param {string} said */
  const offer = (people, said) => {
    found = people;
    active = 0;
    setText(note, said);
    paintFound();
  };

  const paintFound = () => {
    setHidden(list, found.length === 0);
    setAttr(input, 'aria-expanded', String(found.length > 0));
    setAttr(input, 'aria-activedescendant', found.length > 0 ? `${id}-${active}` : null);
    list.replaceChildren(
      ...found.map((person, index) => {
        const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
        paintFace(face, person.displayName);
        return h(
          'li',
          {
            class: 'picker-person',
            attrs: { id: `${id}-${index}`, role: 'option', 'aria-selected': String(index === active) },
            on: { pointerdown: (/** @type {PointerEvent} */ event) => (event.preventDefault(), choose(person)) },
          },
          face,
          h('span', {}, person.displayName, person.mail ? h('span', { class: 'hint' }, person.mail) : null),
        );
      }),
    );
    list.children[active]?.scrollIntoView({ block: 'nearest' });
  };

  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const person = found[active];
    if (step !== undefined && found.length > 0) {
      active = (active + step + found.length) % found.length;
      paintFound();
    } else if (event.key === 'Enter') {
      if (person) choose(person);
    } else if (event.key === 'Escape' && found.length > 0) offer([], '');
    else if (event.key === 'Backspace' && input.value === '' && chosen.length > 0) set(chosen.slice(0, -1));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  /** @param {Person} person */
  const choose = (person) => {
    input.value = '';
    offer([], '');
    set([...chosen, person]);
  };

  /** @param {Person[]} people */
  const set = (people) => {
    chosen = people;
    chips.replaceChildren(
      ...chosen.map((person) =>
        h(
          'li',
          {},
          h(
            'button',
            {
              class: 'button small picker-chip',
              attrs: { type: 'button', 'aria-label': words.picker.takeOut(person.displayName) },
              on: { click: () => (set(chosen.filter(({ id: other }) => other !== person.id)), input.focus()) },
            },
            person.displayName,
            icon('close'),
          ),
        ),
      ),
    );
    setHidden(chips, chosen.length === 0);
    changed(chosen);
  };
  set([]);

  return { element, input, chosen: () => chosen, clear: () => set([]) };
}

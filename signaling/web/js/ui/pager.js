/**
 * From page to page of the people in sight, and a word when somebody speaks on another one.
 */

import { en } from '../text/en.js';
import { h, icon, setAttr, setHidden, setText } from './dom.js';

/** Room that it takes below the tiles, in pixels. */
export const PAGER_HEIGHT = 52;

/** @param {{ turn: (by: 1 | -1) => void }} context */
export function createPager({ turn }) {
  const text = en.meeting.pager;
  /** @param {string} name @param {string} picture @param {1 | -1} by @param {string} keys */
  const button = (name, picture, by, keys) =>
    h(
      'button',
      {
        class: 'button icon-only quiet',
        attrs: { type: 'button', 'aria-label': name, title: en.meeting.tooltip(name, keys), 'aria-keyshortcuts': keys.replace(' ', '') },
        on: { click: () => turn(by) },
      },
      icon(picture),
    );
  const previous = button(text.previous, 'previous', -1, 'Page Up');
  const next = button(text.next, 'next', 1, 'Page Down');
  const place = h('span', { attrs: { 'aria-hidden': 'true' } });
  const said = h('span', { class: 'visually-hidden', attrs: { role: 'status' } });
  const elsewhere = h('span', { class: 'pager-elsewhere' });
  const element = h('div', { class: 'pager', attrs: { role: 'group', 'aria-label': text.label } }, previous, place, said, next, elsewhere);
  setHidden(element, true);
  return {
    element,
    /** @param {number} page From 0. @param {number} pages */
    update(page, pages) {
      setHidden(element, pages < 2);
      setText(place, text.place(page + 1, pages));
      setText(said, pages < 2 ? '' : text.said(page + 1, pages));
      // Not disabled: whoever pressed it would lose their place on the keyboard.
      setAttr(previous, 'aria-disabled', String(page === 0));
      setAttr(next, 'aria-disabled', String(page >= pages - 1));
    },
    /** @param {string} name Of somebody who speaks and is not in sight, or ''. */
    hear(name) {
      setText(elsewhere, name === '' ? '' : text.speaks(name));
    },
  };
}

/**
 * The mark of a network: three bars, of which a good one fills all. Said in words, too; drawn for nobody of whom nothing is known.
 */

import { h, setAttr, setHidden, setText } from './dom.js';

/** @import { Grade } from '../state/health.js' */

/** Three bars; how many are full says `data-grade` of what they stand in. */
export const bars = () => h('span', { class: 'bars', attrs: { 'aria-hidden': 'true' } }, h('span'), h('span'), h('span'));

/** @param {(grade: Grade) => string} words */
export function createBars(words) {
  const said = h('span', { class: 'visually-hidden' });
  const element = h('span', { class: 'network' }, bars(), said);
  return {
    element,
    /** @param {Grade | null} grade */
    set(grade) {
      setHidden(element, grade === null);
      setAttr(element, 'data-grade', grade);
      setText(said, grade === null ? '' : words(grade));
      setAttr(element, 'title', grade === null ? null : words(grade));
    },
  };
}

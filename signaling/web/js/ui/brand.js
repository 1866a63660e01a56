/**
 * The top of every page outside of a meeting, and the plain pages that only say one thing.
 */

import { en } from '../text/en.js';
import { h } from './dom.js';

/** @param {string} [note] */
export const brand = (note) =>
  h(
    'header',
    { class: 'page-head' },
    h('a', { class: 'brand', attrs: { href: '/' } }, h('img', { attrs: { src: '/assets/favicon.svg', alt: '', width: '28', height: '28' } }), en.product),
    note ? h('p', { class: 'page-note' }, note) : null,
  );

/**
 * A page with one thing to say and the ways on.
 *
 * @param {{ heading: string, text: string, actions: HTMLElement[] }} content
 */
export const plainPage = ({ heading, text, actions }) =>
  h(
    'div',
    { class: 'page' },
    brand(),
    h('main', { class: 'plain', attrs: { id: 'main' } }, h('h1', {}, heading), h('p', { class: 'lead' }, text), h('div', { class: 'plain-actions' }, ...actions)),
  );

/** @param {string} text */
export const startLink = (text) => h('a', { class: 'button quiet', attrs: { href: '/' } }, text);

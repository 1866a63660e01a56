/**
 * Who waits to be let in, for those who decide: a list with a name, Admit and Deny each, and one button for all.
 *
 * It stands over the stage while nobody has opened the people panel, and in that panel otherwise.
 */

import { en } from '../text/en.js';
import { h, keyed, setHidden, setText } from './dom.js';

/** @import { Asks } from '../app/asks.js' */
/** @import { MeetingState } from '../state/meeting.js' */
/** @import { WaitingPerson } from '../protocol/messages.js' */

/** So many names stand over the stage; the others are counted. */
const OVER_STAGE = 2;

/** @param {Pick<Asks, 'admit' | 'admitAll' | 'deny'>} asks @param {{ most?: number, showAll?: () => void }} [options] */
export function createLobby(asks, { most = Infinity, showAll } = {}) {
  const heading = h('h3', { class: 'lobby-heading', attrs: { tabindex: '-1' } });
  const list = h('ul', { class: 'lobby-list' });
  const all = h('button', { class: 'button small primary', attrs: { type: 'button' }, on: { click: asks.admitAll } }, en.lobby.admitAll);
  const more = h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: showAll ?? (() => {}) } }, en.lobby.showAll);
  const element = h('section', { class: 'lobby', attrs: { 'aria-label': en.lobby.label } }, heading, list, h('div', { class: 'lobby-all' }, all, more));
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();

  /** @param {WaitingPerson} person */
  const create = ({ id, displayName, verified }) => {
    const button = (/** @type {string} */ text, /** @type {string} */ label, /** @type {string} */ look, /** @type {() => void} */ click) =>
      h('button', { class: `button small ${look}`, attrs: { type: 'button', 'aria-label': label }, on: { click } }, text);
    return h(
      'li',
      { class: 'lobby-person', data: { waitingId: id } },
      h('span', { class: 'lobby-name' }, displayName, verified ? null : h('span', { class: 'person-note' }, en.people.unverified)),
      button(en.lobby.admit, en.lobby.admitPerson(displayName), 'primary', () => asks.admit(id)),
      button(en.lobby.deny, en.lobby.denyPerson(displayName), '', () => asks.deny(id)),
    );
  };
  return {
    element,
    /** @param {MeetingState} state @param {boolean} [isElsewhere] */
    update({ order: { waiting } }, isElsewhere = false) {
      const people = [...waiting.values()];
      // Whoever has just pressed a button that goes away stays where they were.
      const hadFocus = element.contains(document.activeElement);
      setHidden(element, people.length === 0 || isElsewhere);
      setText(heading, en.lobby.count(people.length));
      keyed(list, elements, people.slice(0, most), ({ id }) => id, create);
      setHidden(all, people.length < 2);
      setHidden(more, people.length <= most);
      if (hadFocus && !element.contains(document.activeElement)) heading.focus();
    },
  };
}

/** Over the stage. @param {Pick<Asks, 'admit' | 'admitAll' | 'deny'>} asks @param {() => void} showAll */
export const createLobbyNotice = (asks, showAll) => createLobby(asks, { most: OVER_STAGE, showAll });

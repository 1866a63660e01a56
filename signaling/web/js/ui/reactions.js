/**
 * Reactions: a short list to choose from, and the signs of others, which stand for a moment at the edge of the stage.
 */

import { en } from '../text/en.js';
import { h, keyed } from './dom.js';

/** @import { Reaction } from '../protocol/messages.js' */
/** @import { MeetingState } from '../state/meeting.js' */
/** @import { Sign } from '../state/order.js' */

/** How long a sign stands there. */
const SHOWN_MS = 4_000;
/** @type {Record<Reaction, string>} */
const PICTURES = { like: '👍', heart: '❤️', applause: '👏', laugh: '😄', surprised: '😮' };
const REACTIONS = /** @type {Reaction[]} */ (Object.keys(PICTURES));

/** The list, opened by a button with `popovertarget="reactions"`. @param {(reaction: Reaction) => void} react */
export function createReactionMenu(react) {
  const buttons = REACTIONS.map((reaction) =>
    h(
      'button',
      { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': en.reactions[reaction], title: en.reactions[reaction] }, on: { click: () => react(reaction) } },
      h('span', { attrs: { 'aria-hidden': 'true' } }, PICTURES[reaction]),
    ),
  );
  return h('div', { class: 'reaction-menu', attrs: { id: 'reactions', popover: 'auto', role: 'dialog', 'aria-label': en.meeting.react } }, ...buttons);
}

/** What others show. @param {(upto: number) => void} seen */
export function createSigns(seen) {
  const element = h('ul', { class: 'signs', attrs: { 'aria-label': en.meeting.signs } });
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  return {
    element,
    /** @param {MeetingState} state */
    update({ order: { signs }, participants }) {
      keyed(element, elements, signs, ({ id }) => String(id), (/** @type {Sign} */ { id, participantId, reaction }) => {
        setTimeout(() => seen(id), SHOWN_MS);
        const name = participants.get(participantId)?.displayName ?? '';
        return h('li', { class: 'sign' }, h('span', { attrs: { 'aria-hidden': 'true' } }, PICTURES[reaction]), h('span', {}, name), h('span', { class: 'visually-hidden' }, en.reactions[reaction]));
      });
    },
  };
}

/**
 * What can be done with one message: a row of reactions, and a short list below.
 *
 * Why one menu for all messages: hundreds of messages would be thousands of buttons. It is the browser's popover, which
 * closes on Esc and on a click elsewhere and gives the focus back; arrow keys move in it.
 */

import { REACTIONS } from '../protocol/chat-events.js';
import { chats as words } from '../text/en-chats.js';
import { h, setAttr } from './dom.js';

/** @import { Reaction } from '../protocol/chat-events.js' */
/** @import { MessageEvent_ } from '../protocol/messages.js' */

/**
 * @typedef {object} MenuActions
 * @property {(event: MessageEvent_, reaction: Reaction | null) => void} react
 * @property {(event: MessageEvent_) => void} reply
 * @property {(event: MessageEvent_) => void} edit
 * @property {(event: MessageEvent_) => void} remove
 */
/** @typedef {{ event: MessageEvent_, mayEdit: boolean, mayRemove: boolean, mine: Reaction | null }} MenuTarget */

/** @param {MenuActions} actions */
export function createMenu(actions) {
  const menu = h('div', { class: 'post-menu', attrs: { popover: 'auto', role: 'menu', 'aria-label': words.message.menu } });
  /** @type {HTMLElement | null} */
  let opener = null;

  /** @param {() => void} act */
  const done = (act) => {
    menu.hidePopover();
    act();
  };
  /** @param {string} text @param {() => void} act */
  const item = (text, act) => h('button', { class: 'post-menu-item', attrs: { type: 'button', role: 'menuitem' }, on: { click: () => done(act) } }, text);

  /** @param {MenuTarget} target @param {Reaction} reaction */
  const reactionItem = ({ event, mine }, reaction) => {
    const { sign, name } = words.message.reactions[reaction];
    const act = () => actions.react(event, mine === reaction ? null : reaction);
    return h(
      'button',
      {
        class: 'post-menu-reaction',
        attrs: { type: 'button', role: 'menuitemradio', 'aria-checked': String(mine === reaction), 'aria-label': name, title: name },
        on: { click: () => done(act) },
      },
      sign,
    );
  };

  menu.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const items = [...menu.querySelectorAll('button')];
    const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const next = event.key === 'Home' ? 0 : event.key === 'End' ? items.length - 1 : step === undefined ? -1 : (at + step + items.length) % items.length;
    if (event.key === 'Tab') menu.hidePopover();
    if (next < 0) return;
    event.preventDefault();
    items[next]?.focus();
  });
  const stay = () => opener && place(menu, opener);
  menu.addEventListener('toggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === 'open') {
      window.addEventListener('resize', stay);
      return;
    }
    window.removeEventListener('resize', stay);
    if (!opener) return;
    setAttr(opener, 'aria-expanded', 'false');
    opener = null;
  });

  return {
    element: menu,
    /** @param {MenuTarget} target @param {HTMLElement} button */
    open(target, button) {
      const { event, mayEdit, mayRemove } = target;
      menu.replaceChildren(
        h('div', { class: 'post-menu-reactions', attrs: { role: 'group' } }, ...REACTIONS.map((reaction) => reactionItem(target, reaction))),
        item(words.message.reply, () => actions.reply(event)),
        ...(mayEdit ? [item(words.message.edit, () => actions.edit(event))] : []),
        item(words.message.copy, () => void navigator.clipboard?.writeText(event.text).catch(() => {})),
        ...(mayRemove ? [item(words.message.remove, () => actions.remove(event))] : []),
      );
      opener = button;
      setAttr(button, 'aria-expanded', 'true');
      menu.showPopover();
      place(menu, button);
      menu.querySelector('button')?.focus();
    },
  };
}

/** Below the button or above it, towards the middle of the page; never beyond an edge. @param {HTMLElement} menu @param {HTMLElement} button */
function place(menu, button) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const top = at.bottom + height + 8 <= window.innerHeight ? at.bottom + 4 : Math.max(8, at.top - height - 4);
  const beside = at.left + at.right > window.innerWidth ? at.right - width : at.left;
  const left = Math.min(Math.max(8, beside), window.innerWidth - width - 8);
  menu.style.top = `${top}px`;
  menu.style.left = `${left}px`;
}

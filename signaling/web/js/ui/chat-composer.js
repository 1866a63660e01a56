/**
 * The box to write in: a message, an answer, or a change of one's own; with people to mention after an `@`.
 *
 * Why one box for all three: there is one place where one writes. What it is for stands above it, with a way out, and
 * Esc is that way. The focus stays in the text while arrow keys move in the list of people.
 */

import { mentionAt, mentionedIn, offered } from '../state/mentions.js';
import { chats as words } from '../text/en-chats.js';
import { h, icon, setAttr, setHidden, setText } from './dom.js';
import { paintFace } from './tile.js';

/** @import { Draft } from '../app/chats.js' */
/** @import { Mention } from '../protocol/chat-events.js' */
/** @import { MessageEvent_ } from '../protocol/messages.js' */
/** @import { Member } from '../state/chat.js' */

/**
 * @typedef {object} ComposerContext
 * @property {string} me
 * @property {() => readonly Member[]} members
 * @property {(draft: Draft) => void} send
 * @property {(event: MessageEvent_, text: string, mentions: Mention[]) => Promise<string | null>} edit Gives what went wrong.
 * @property {() => MessageEvent_ | null} lastOwn
 * @property {() => void} typing
 */
/** @typedef {{ kind: 'reply' | 'edit', event: MessageEvent_ }} Purpose */

/** Bytes that the server takes. */
const TEXT_BYTES_MAX = 28 * 1024;
const HEIGHT_MAX_PX = 180;

let serial = 0;

/** @param {ComposerContext} context */
export function createComposer(context) {
  const listId = `mentions-${(serial += 1)}`;
  /** @type {Purpose | null} */
  let purpose = null;
  /** @type {Mention[]} Everybody who was picked; those whose name still stands in the text are meant. */
  let picked = [];
  /** @type {Member[]} */
  let choices = [];
  let active = 0;
  let busy = false;

  const input = h('textarea', {
    class: 'input chat-input',
    attrs: {
      'aria-label': words.composer.message,
      placeholder: words.composer.placeholder,
      rows: '1',
      enterkeyhint: 'send',
      'aria-autocomplete': 'list',
      'aria-haspopup': 'listbox',
    },
    on: {
      keydown: (/** @type {KeyboardEvent} */ event) => keys(event),
      input: () => {
        grow();
        offer();
        setText(problem, '');
        if (input.value !== '' && purpose?.kind !== 'edit') context.typing();
      },
      click: () => offer(),
      blur: () => closeList(),
    },
  });
  const list = h('ul', { class: 'mention-list', attrs: { id: listId, role: 'listbox', 'aria-label': words.composer.mention, hidden: true } });
  const what = h('p', {});
  const quote = h('p', { class: 'composer-quote' });
  const above = h(
    'div',
    { class: 'composer-purpose', attrs: { hidden: true } },
    h('div', {}, what, quote),
    h('button', { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': words.composer.cancel }, on: { click: () => (become(null), input.focus()) } }, icon('close')),
  );
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const button = h('button', { class: 'button icon-only', attrs: { type: 'submit', 'aria-label': words.composer.send } }, icon('send'));
  const element = h(
    'form',
    {
      class: 'composer',
      on: {
        submit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          void submit();
        },
      },
    },
    list,
    above,
    problem,
    h('div', { class: 'chat-form' }, input, button),
  );

  const grow = () => {
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight + 2, HEIGHT_MAX_PX)}px`;
  };

  /** @param {Purpose | null} next */
  const become = (next) => {
    if (purpose?.kind === 'edit' || next?.kind === 'edit') {
      input.value = next?.kind === 'edit' ? next.event.text : '';
      picked = next?.kind === 'edit' ? [...(next.event.mentions ?? [])] : [];
      grow();
    }
    purpose = next;
    setHidden(above, next === null);
    setText(problem, '');
    setText(quote, next?.kind === 'reply' ? next.event.text : '');
    if (next) setText(what, next.kind === 'edit' ? words.composer.editing : next.event.from.userId === context.me ? words.composer.replyingSelf : words.composer.replying(next.event.from.displayName));
    setAttr(button, 'aria-label', next?.kind === 'edit' ? words.composer.save : words.composer.send);
  };

  const submit = async () => {
    const text = input.value.trim();
    if (text === '' || busy) return;
    if (new TextEncoder().encode(text).length > TEXT_BYTES_MAX) {
      setText(problem, words.composer.tooLong);
      return;
    }
    const mentions = mentionedIn(text, picked);
    if (purpose?.kind === 'edit') {
      busy = true;
      const refusal = text === purpose.event.text ? null : await context.edit(purpose.event, text, mentions);
      busy = false;
      if (refusal !== null) {
        setText(problem, refusal);
        return;
      }
    } else {
      context.send({ text, mentions, replyTo: purpose?.event.seq ?? null });
    }
    become(null);
    input.value = '';
    picked = [];
    grow();
    closeList();
  };

  const closeList = () => {
    choices = [];
    setHidden(list, true);
    setAttr(input, 'aria-controls', null);
    setAttr(input, 'aria-activedescendant', null);
  };

  const offer = () => {
    const at = mentionAt(input.value, input.selectionStart);
    choices = at ? offered(context.members(), at.query, context.me) : [];
    active = 0;
    if (choices.length === 0) closeList();
    else paintList();
  };

  const paintList = () => {
    list.replaceChildren(
      ...choices.map((member, index) => {
        const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
        paintFace(face, member.displayName);
        return h(
          'li',
          {
            class: 'mention-choice',
            attrs: { id: `${listId}-${index}`, role: 'option', 'aria-selected': String(index === active) },
            // Not click: the text would lose the focus first, and the list with it.
            on: { pointerdown: (/** @type {PointerEvent} */ event) => (event.preventDefault(), pick(member)) },
          },
          face,
          member.displayName,
        );
      }),
    );
    setHidden(list, false);
    setAttr(input, 'aria-controls', listId);
    setAttr(input, 'aria-activedescendant', `${listId}-${active}`);
  };

  /** @param {Member} member */
  const pick = ({ userId, displayName }) => {
    const at = mentionAt(input.value, input.selectionStart);
    if (!at) return;
    input.setRangeText(`@${displayName} `, at.start, input.selectionStart, 'end');
    picked = [...picked, { userId, displayName }];
    closeList();
    grow();
  };

  /** @param {KeyboardEvent} event */
  const keys = (event) => {
    if (event.isComposing) return;
    const { key } = event;
    const isListed = choices.length > 0;
    if (isListed && (key === 'ArrowDown' || key === 'ArrowUp')) {
      active = (active + (key === 'ArrowDown' ? 1 : -1) + choices.length) % choices.length;
      paintList();
    } else if (isListed && (key === 'Enter' || key === 'Tab')) {
      const member = choices[active];
      if (member) pick(member);
    } else if (isListed && key === 'Escape') closeList();
    else if (key === 'Escape' && purpose !== null) become(null);
    else if (key === 'Enter' && !event.shiftKey) void submit();
    else if (key === 'ArrowUp' && input.value === '' && purpose === null && context.lastOwn()) {
      become({ kind: 'edit', event: /** @type {MessageEvent_} */ (context.lastOwn()) });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return {
    element,
    focus: () => input.focus(),
    /** @param {MessageEvent_} event */
    reply(event) {
      become({ kind: 'reply', event });
      input.focus();
    },
    /** @param {MessageEvent_} event */
    change(event) {
      become({ kind: 'edit', event });
      input.focus();
      input.setSelectionRange(input.value.length, input.value.length);
    },
    /** What was written and not sent. @returns {{ text: string, picked: Mention[] }} */
    draft: () => (purpose?.kind === 'edit' ? { text: '', picked: [] } : { text: input.value, picked }),
    /** @param {{ text: string, picked: Mention[] }} draft */
    restore(draft) {
      input.value = draft.text;
      picked = draft.picked;
      requestAnimationFrame(grow);
    },
  };
}

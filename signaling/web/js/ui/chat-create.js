/**
 * The dialog that begins a chat: whom with, and for more than one what about.
 */

import { chats as words } from '../text/en-chats.js';
import { en } from '../text/en.js';
import { openDialog } from './dialog.js';
import { field, h, setHidden, setText } from './dom.js';
import { createPicker } from './people-picker.js';
import { explain } from './problems.js';

/**
 * @param {object} context
 * @param {typeof import('../protocol/chats-http.js')} context.api
 * @param {string} context.me
 * @param {(chatId: string) => void} context.created
 */
export function openCreate({ api, me, created }) {
  const topic = field(words.create.topic, { name: 'topic', maxlength: '200', autocomplete: 'off' });
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const picker = createPicker({
    search: api.searchPeople,
    without: () => new Set([me]),
    changed: (chosen) => {
      setHidden(topic.element, chosen.length < 2);
      setText(problem, '');
    },
  });
  const start = h('button', { class: 'button primary', attrs: { type: 'submit' } }, words.create.start);
  const form = h(
    'form',
    {
      class: 'dialog-form',
      on: {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          const members = picker.chosen().map(({ id }) => id);
          if (members.length === 0) {
            setText(problem, words.create.nobody);
            picker.input.focus();
            return;
          }
          start.disabled = true;
          try {
            const chat = await api.createChat(members.length > 1 ? topic.input.value.trim() : '', members);
            dialog.close();
            created(chat.id);
          } catch (error) {
            start.disabled = false;
            setText(problem, explain(error));
          }
        },
      },
    },
    picker.element,
    topic.element,
    problem,
    h(
      'div',
      { class: 'dialog-actions' },
      h('button', { class: 'button quiet', attrs: { type: 'button' }, on: { click: () => dialog.close() } }, en.cancel),
      start,
    ),
  );
  const dialog = openDialog({ heading: words.create.heading, body: [form], actions: [] });
  picker.input.focus();
}

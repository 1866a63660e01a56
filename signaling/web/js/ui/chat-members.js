/**
 * The dialog about a chat: who is in it, what it is called; to add and take out people, and to leave.
 *
 * Why it follows the state: somebody else may add a person while it is open.
 */

import { chats as words } from '../text/en-chats.js';
import { confirmDialog, openDialog } from './dialog.js';
import { field, h, icon, setHidden, setText } from './dom.js';
import { createPicker } from './people-picker.js';
import { explain } from './problems.js';
import { paintFace } from './tile.js';

/** @import { Chats } from '../app/chats.js' */
/** @import { Chat, Member } from '../state/chat.js' */

/**
 * @typedef {object} MembersContext
 * @property {Chats} chats
 * @property {typeof import('../protocol/chats-http.js')} api
 */

/** @param {string} id @param {MembersContext} context */
export function openMembers(id, { chats, api }) {
  const { me } = chats.store.state;
  const chat = () => chats.store.state.chats.get(id);
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  /** @param {Promise<unknown>} done @returns {Promise<boolean>} */
  const act = (done) => {
    setText(problem, '');
    return done.then(
      () => true,
      (error) => {
        setText(problem, explain(error));
        return false;
      },
    );
  };

  const list = h('ul', { class: 'members', attrs: { 'aria-label': words.members.list } });
  const topic = topicForm(chat()?.topic ?? '', (text) => void act(api.renameChat(id, text)));
  const adding = addForm({
    api,
    without: () => new Set(chat()?.members.map(({ userId }) => userId)),
    add: (members, withHistory) => act(api.addMembers(id, members, withHistory)),
  });
  const leave = h(
    'button',
    {
      class: 'button quiet members-leave',
      attrs: { type: 'button' },
      on: {
        click: () =>
          confirmDialog({ heading: words.members.leaveHeading, text: words.members.leaveText, confirm: words.members.leaveConfirm }, () => {
            void act(api.removeMember(id, me)).then((left) => left && dialog.close());
          }),
      },
    },
    words.members.leave,
  );

  /** @type {Chat | undefined} */
  let shown;
  const update = () => {
    const now = chat();
    if (!now) {
      dialog.close();
      return;
    }
    if (now.members === shown?.members && now.role === shown.role) return;
    shown = now;
    const mayRemove = now.role === 'owner';
    list.replaceChildren(
      ...now.members.map((member) => memberRow(member, { me, remove: mayRemove && member.userId !== me ? () => void act(api.removeMember(id, member.userId)) : null })),
    );
    setHidden(topic, now.chatType !== 'group');
    setHidden(leave, now.chatType === 'meeting' && now.role === 'owner');
  };

  const dialog = openDialog({
    heading: words.members.heading,
    body: [h('div', { class: 'members-body' }, list, problem, adding, topic, leave)],
    actions: [h('button', { class: 'button', attrs: { type: 'button', autofocus: true } }, words.members.done)],
  });
  update();
  const end = chats.store.subscribe(update);
  dialog.addEventListener('close', end);
}

/** @param {Member} member @param {{ me: string, remove: (() => void) | null }} context */
function memberRow({ userId, displayName, role }, { me, remove }) {
  const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
  paintFace(face, displayName);
  return h(
    'li',
    { class: 'member', data: { userId } },
    face,
    h('span', { class: 'member-words' }, userId === me ? words.members.you(displayName) : displayName, role === 'owner' ? h('span', { class: 'hint' }, words.members.owner) : null),
    remove
      ? h('button', { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': words.members.remove(displayName), title: words.members.remove(displayName) }, on: { click: remove } }, icon('remove'))
      : null,
  );
}

/** @param {string} topic @param {(topic: string) => void} rename */
function topicForm(topic, rename) {
  const { element, input } = field(words.members.topic, { name: 'chat-topic', maxlength: '200', autocomplete: 'off', value: topic });
  return h(
    'form',
    {
      class: 'members-form',
      on: {
        submit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          rename(input.value.trim());
        },
      },
    },
    element,
    h('button', { class: 'button', attrs: { type: 'submit' } }, words.members.rename),
  );
}

/**
 * @param {object} context
 * @param {typeof import('../protocol/chats-http.js')} context.api
 * @param {() => ReadonlySet<string>} context.without
 * @param {(members: string[], withHistory: boolean) => Promise<boolean>} context.add
 */
function addForm({ api, without, add }) {
  const history = h('input', { attrs: { type: 'checkbox' } });
  const button = h('button', { class: 'button', attrs: { type: 'submit' } }, words.members.addConfirm);
  const more = h('div', { class: 'members-more' }, h('label', { class: 'check' }, history, words.members.history), button);
  const picker = createPicker({ search: api.searchPeople, without, changed: (chosen) => setHidden(more, chosen.length === 0) });
  return h(
    'form',
    {
      class: 'members-form',
      on: {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          const members = picker.chosen().map(({ id }) => id);
          if (members.length > 0 && (await add(members, history.checked))) picker.clear();
        },
      },
    },
    h('h3', {}, words.members.add),
    picker.element,
    more,
  );
}

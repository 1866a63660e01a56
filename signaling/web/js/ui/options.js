/**
 * The meeting's options: who walks past the lobby, who presents, what attendees may do.
 *
 * Why by HTTP and not by the live protocol: they belong to the meeting and not to the call, and can be set before it.
 */

import * as http from '../protocol/http.js';
import { en } from '../text/en.js';
import { openDialog } from './dialog.js';
import { h, setText } from './dom.js';

/** @import { Settings } from '../protocol/http.js' */

/** @type {readonly (keyof Settings)[]} */
const FLAGS = ['canAnonymousStart', 'areAnonymousHeld', 'isLocked', 'allowAttendeeToEnableMic', 'allowAttendeeToEnableCamera', 'allowTeamworkReactions', 'recordAutomatically'];

/** @param {unknown} error */
const explain = (error) => (error instanceof http.ApiError ? en.error(error.code, error.message) : en.error('unexpected', ''));

/** @param {string} meetingId */
export async function openOptions(meetingId) {
  const text = en.options;
  const done = h('button', { class: 'button quiet', attrs: { type: 'button' } }, en.cancel);
  /** @type {Settings} */
  let settings;
  try {
    settings = await http.readSettings(meetingId);
  } catch (error) {
    openDialog({ heading: text.heading, body: [h('p', { class: 'problem' }, explain(error))], actions: [done] });
    return;
  }
  const scope = select('scope', text.scope, text.scopes, settings.lobbyBypassSettings.scope);
  const presenters = select('presenters', text.presenters, text.allowedPresenters, settings.allowedPresenters);
  const chat = select('chat', text.chat, text.chats, settings.allowMeetingChat);
  const flags = FLAGS.map((name) => {
    const input = h('input', { attrs: { type: 'checkbox', name, checked: settings[name] === true } });
    return { name, input, element: h('label', { class: 'option-flag' }, input, h('span', {}, text.flags[name] ?? name)) };
  });
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const save = h('button', { class: 'button primary', attrs: { type: 'button' } }, text.save);
  const dialog = openDialog({
    heading: text.heading,
    body: [h('div', { class: 'options' }, scope.element, ...flags.slice(0, 3).map(({ element }) => element), presenters.element, ...flags.slice(3).map(({ element }) => element), chat.element), problem],
    actions: [done],
  });
  // Not one of the actions that close it: it closes when the server has taken it.
  done.after(save);
  save.addEventListener('click', () => {
    save.disabled = true;
    http
      .changeSettings(meetingId, {
        lobbyBypassSettings: { scope: scope.input.value },
        allowedPresenters: presenters.input.value,
        allowMeetingChat: chat.input.value,
        ...Object.fromEntries(flags.map(({ name, input }) => [name, input.checked])),
      })
      .then(
        () => dialog.close(),
        (error) => {
          save.disabled = false;
          setText(problem, explain(error));
        },
      );
  });
}

/** @param {string} name @param {string} label @param {Record<string, string>} choices @param {string} value */
function select(name, label, choices, value) {
  const id = `option-${name}`;
  const options = Object.entries(choices).map(([key, words]) => h('option', { attrs: { value: key, selected: key === value } }, words));
  const input = h('select', { class: 'input', attrs: { id, name } }, ...options);
  return { input, element: h('div', { class: 'field' }, h('label', { attrs: { for: id } }, label), input) };
}

/**
 * Dialogs: one question or one piece of information over everything else.
 *
 * Why the browser's `<dialog>`: it traps the focus, closes on Esc and gives the focus back by itself.
 */

import { en } from '../text/en.js';
import { h, setText } from './dom.js';

let serial = 0;

/**
 * @param {{ heading: string, body: (Node | string)[], actions: HTMLButtonElement[] }} content
 * @returns {HTMLDialogElement} Open, and gone from the page when it closes.
 */
export function openDialog({ heading, body, actions }) {
  const id = `dialog-${(serial += 1)}`;
  const dialog = h(
    'dialog',
    { class: 'dialog', attrs: { 'aria-labelledby': id } },
    h('h2', { attrs: { id } }, heading),
    ...body,
    h('div', { class: 'dialog-actions' }, ...actions),
  );
  const opener = document.activeElement;
  for (const action of actions) action.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** @param {{ heading: string, text: string, confirm: string }} question @param {() => void} confirmed */
export function confirmDialog({ heading, text, confirm }, confirmed) {
  openDialog({
    heading,
    body: [h('p', {}, text)],
    actions: [
      h('button', { class: 'button quiet', attrs: { type: 'button', autofocus: true } }, en.cancel),
      h('button', { class: 'button danger', attrs: { type: 'button' }, on: { click: confirmed } }, confirm),
    ],
  });
}

export function shortcutsDialog() {
  const rows = en.shortcuts.list.map(([keys, what]) =>
    h('div', { class: 'shortcut' }, h('dt', {}, h('kbd', {}, keys)), h('dd', {}, what)),
  );
  openDialog({
    heading: en.shortcuts.heading,
    body: [h('dl', { class: 'shortcuts' }, ...rows)],
    actions: [h('button', { class: 'button', attrs: { type: 'button', autofocus: true } }, en.meeting.done)],
  });
}

/**
 * Copies the join link; where the browser has no clipboard (plain http), shows it ready to be copied.
 *
 * @param {string} link
 * @returns {Promise<boolean>} Whether it is on the clipboard.
 */
export async function copyLink(link) {
  try {
    await navigator.clipboard.writeText(link);
    return true;
  } catch {
    const input = h('input', { class: 'input', attrs: { type: 'text', readonly: true, value: link, 'aria-label': en.meeting.linkDialog } });
    openDialog({
      heading: en.meeting.linkDialog,
      body: [h('p', {}, en.meeting.linkDialogText), input],
      actions: [h('button', { class: 'button', attrs: { type: 'button' } }, en.meeting.done)],
    });
    input.select();
    return false;
  }
}

/**
 * A button that copies what stands in a field. Without a clipboard (plain http) it stands there, selected.
 *
 * @param {HTMLInputElement | HTMLTextAreaElement} shown
 * @param {{ copy: string, copied: string }} words
 */
export function copyButton(shown, { copy, copied }) {
  const button = h(
    'button',
    {
      class: 'button primary',
      attrs: { type: 'button' },
      on: {
        click: async () => {
          shown.select();
          await navigator.clipboard?.writeText(shown.value).then(() => setText(button, copied), () => {});
        },
      },
    },
    copy,
  );
  return button;
}

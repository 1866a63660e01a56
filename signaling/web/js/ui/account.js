/**
 * Accounts on the start page: a link for a colleague, a link for one's own other device, and the ways out.
 *
 * Why links and no passwords: whoever has the link is in, once; there is nothing to forget and nothing to steal later.
 *
 *   button -> dialog -> POST -> the link, shown and ready to be copied
 */

import { account } from '../text/en-account.js';
import { confirmDialog, copyButton, openDialog } from './dialog.js';
import { field, h, icon, setText } from './dom.js';

/** @import { SignInLink } from '../protocol/http.js' */

/**
 * @typedef {object} AccountContext
 * @property {string} name Of the person who is signed in.
 * @property {(displayName: string, mail: string) => Promise<string>} invite Gives the link.
 * @property {() => Promise<SignInLink>} deviceLink
 * @property {() => Promise<void>} signOut
 * @property {() => Promise<void>} signOutEverywhere
 * @property {(error: unknown) => string} explain
 */

/** @param {AccountContext} context */
export const accountButtons = (context) =>
  h(
    'div',
    { class: 'account-buttons' },
    h('button', { class: 'button quiet', attrs: { type: 'button' }, on: { click: () => inviteDialog(context) } }, icon('people'), account.invite),
    h('button', { class: 'button quiet', attrs: { type: 'button' }, on: { click: () => accountDialog(context) } }, account.account),
  );

/** @param {string} text @param {string} [kind] */
const closing = (text, kind = 'quiet') => h('button', { class: `button ${kind}`, attrs: { type: 'button' } }, text);

/** @param {AccountContext} context */
function inviteDialog({ invite, explain }) {
  const name = field(account.name, { name: 'displayName', maxlength: '100', autocomplete: 'off', required: true });
  const mail = field(account.mail, { name: 'mail', type: 'email', maxlength: '254', autocomplete: 'off' });
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const make = h('button', { class: 'button primary', attrs: { type: 'submit' } }, account.make);
  const form = h(
    'form',
    {
      class: 'account-form',
      on: {
        submit: async (/** @type {SubmitEvent} */ event) => {
          event.preventDefault();
          make.disabled = true;
          setText(problem, '');
          try {
            const link = await invite(name.input.value.trim(), mail.input.value.trim());
            dialog.close();
            linkDialog(account.made(name.input.value.trim()), account.madeText, link);
          } catch (error) {
            setText(problem, explain(error));
            name.input.focus();
          }
          make.disabled = false;
        },
      },
    },
    h('p', {}, account.inviteText),
    name.element,
    mail.element,
    problem,
    make,
  );
  const dialog = openDialog({ heading: account.invite, body: [form], actions: [closing(account.cancel)] });
  name.input.focus();
}

/** @param {string} heading @param {string} text @param {string} link @param {string} [picture] The link for a camera, an SVG document. */
function linkDialog(heading, text, link, picture) {
  const shown = h('input', { class: 'input', attrs: { type: 'text', readonly: true, value: link, 'aria-label': heading } });
  const copy = copyButton(shown, account);
  openDialog({ heading, body: [h('p', {}, text), ...(picture === undefined ? [] : [qrCode(picture)]), shown, copy], actions: [closing(account.done)] });
  shown.select();
}

/** @param {string} svg */
const qrCode = (svg) =>
  h('img', { class: 'qr-code', attrs: { src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt: account.qrCode, width: '220', height: '220' } });

/** @param {AccountContext} context */
function accountDialog(context) {
  const { name, deviceLink, signOut, signOutEverywhere, explain } = context;
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  /** @param {() => Promise<void>} act */
  const attempt = (act) => async () => {
    setText(problem, '');
    await act().catch((error) => setText(problem, explain(error)));
  };
  const dialog = openDialog({
    heading: account.heading(name),
    body: [
      h(
        'div',
        { class: 'account-ways' },
        h('button', {
          class: 'button',
          attrs: { type: 'button' },
          on: {
            click: attempt(async () => {
              const { signInUrl, qrCode: picture } = await deviceLink();
              dialog.close();
              linkDialog(account.device, account.deviceText, signInUrl, picture);
            }),
          },
        }, account.device),
        h('button', { class: 'button', attrs: { type: 'button' }, on: { click: attempt(signOut) } }, account.signOut),
        h('button', {
          class: 'button danger',
          attrs: { type: 'button' },
          on: {
            click: () => {
              dialog.close();
              confirmDialog({ heading: account.everywhere, text: account.everywhereText, confirm: account.everywhere }, () => void signOutEverywhere());
            },
          },
        }, account.everywhere),
      ),
      problem,
    ],
    actions: [closing(account.done)],
  });
}

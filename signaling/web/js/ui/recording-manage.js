/**
 * What those may do who keep a recording: share it by a link, say how long it is kept, delete it.
 */

import { dateOf, endOfDay } from '../state/recording.js';
import { dayAndClock } from '../text/format.js';
import { recordings } from '../text/en-recordings.js';
import { confirmDialog, copyButton } from './dialog.js';
import { h, setHidden, setText } from './dom.js';

/** @import { RecordingDetails } from '../protocol/recordings-http.js' */
/** @import { RecordingView } from '../app/recording.js' */

/** @typedef {{ view: RecordingView, explain: (error: unknown) => string }} ManageContext */

/** @param {string} text @param {() => void} click @param {string} [look] */
const button = (text, click, look = '') => h('button', { class: `button small ${look}`, attrs: { type: 'button' }, on: { click } }, text);

/** One thing to do: a heading, what it is now, a place for what went wrong. @param {string} heading @param {...Node} content */
function card(heading, ...content) {
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  return { element: h('section', { class: 'card recording-card' }, h('h2', {}, heading), ...content, problem), problem };
}

/** @param {ManageContext} context */
export function createShare({ view, explain }) {
  const words = recordings.share;
  const now = h('p', { attrs: { role: 'status' } });
  const link = h('input', { class: 'input', attrs: { type: 'text', readonly: true, 'aria-label': words.link } });
  const copy = copyButton(link, words);
  const made = h('div', { class: 'recording-link', attrs: { hidden: true } }, link, copy);
  const on = button(words.turnOn, () => void share(true));
  const off = button(words.turnOff, () => void share(false));
  const { element, problem } = card(words.heading, now, made, h('div', { class: 'recording-ways' }, on, off));
  /** @param {boolean} isOn */
  const share = async (isOn) => {
    setText(problem, '');
    try {
      const url = await view.share(isOn);
      link.value = url ?? '';
      setHidden(made, url === null);
      setText(copy, words.copy);
      if (url !== null) setText(now, words.made);
    } catch (error) {
      setText(problem, explain(error));
    }
  };
  return {
    element,
    /** @param {RecordingDetails} recording */
    update({ sharing }) {
      const isOn = sharing === 'link';
      setText(now, !isOn ? words.off : link.value === '' ? words.on : words.made);
      setText(on, isOn ? words.renew : words.turnOn);
      setHidden(off, !isOn);
      if (!isOn) setHidden(made, true);
    },
  };
}

/** @param {ManageContext} context */
export function createExpiry({ view, explain }) {
  const words = recordings.expiry;
  const now = h('p', { attrs: { role: 'status' } });
  const date = h('input', { class: 'input', attrs: { id: 'recording-expiry', type: 'date', min: dateOf(new Date().toISOString()) } });
  const save = button(words.save, () => {
    const until = endOfDay(date.value);
    if (until === null) setText(problem, words.invalid);
    else void keep(until);
  });
  const forever = button(words.keep, () => void keep(null), 'quiet');
  const { element, problem } = card(
    words.heading,
    now,
    h('div', { class: 'field' }, h('label', { attrs: { for: 'recording-expiry' } }, words.date), date),
    h('div', { class: 'recording-ways' }, save, forever),
  );
  /** @param {string | null} until */
  const keep = async (until) => {
    setText(problem, '');
    await view.keep(until).catch((error) => setText(problem, explain(error)));
  };
  let known = '';
  return {
    element,
    /** @param {RecordingDetails} recording */
    update({ expirationDateTime }) {
      setText(now, expirationDateTime === null ? words.never : words.until(dayAndClock(expirationDateTime, true)));
      setHidden(forever, expirationDateTime === null);
      // What somebody is choosing is not taken from them by a look at the server.
      if (known === String(expirationDateTime)) return;
      known = String(expirationDateTime);
      date.value = dateOf(expirationDateTime);
    },
  };
}

/** @param {ManageContext} context */
export function createRemove({ view, explain }) {
  const words = recordings.remove;
  const problem = h('p', { class: 'problem', attrs: { role: 'alert' } });
  const remove = () => void view.remove().catch((error) => setText(problem, explain(error)));
  return h('div', {}, button(words.button, () => confirmDialog(words, remove)), problem);
}

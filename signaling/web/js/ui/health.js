/**
 * The panel of call health: what the network does to the call, told in plain words and honest figures.
 *
 * Why both: a person wants to know whether it is their network and what follows; whoever helps them wants the figures. What is
 * not known says so.
 */

import { pictureReason } from '../state/health.js';
import { en } from '../text/en.js';
import { bars } from './bars.js';
import { panelHead } from './chat.js';
import { h, keyed, setAttr, setHidden, setText } from './dom.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { AudioOnly } from '../state/audio-only.js' */
/** @import { HealthState } from '../state/health.js' */
/** @import { UplinkHealth } from '../protocol/messages.js' */

const text = en.health;

/** A list of figures with their names. @param {readonly string[]} names */
function figures(names) {
  const values = names.map(() => h('dd', {}));
  const rows = names.map((name, at) => h('div', { class: 'figure' }, h('dt', {}, name), values[at]));
  return {
    element: h('dl', { class: 'figures' }, ...rows),
    /** @param {readonly (string | null)[]} now */
    set(now) {
      now.forEach((value, at) => {
        const place = values[at];
        if (!place) return;
        setText(place, value ?? text.unknown);
        place.classList.toggle('is-unknown', value === null);
      });
    },
  };
}

/** @template T, R @param {T | null | undefined} value @param {(value: T) => R} say @returns {R | null} */
const known = (value, say) => (value === null || value === undefined ? null : say(value));

/** @param {{ close: () => void, chooseAudioOnly: (choice: AudioOnly['choice']) => void }} context */
export function createHealth({ close, chooseAudioOnly }) {
  let isSoundOnly = false;
  const soundOnly = h('button', {
    class: 'health-toggle',
    attrs: { type: 'button', role: 'switch', 'aria-label': text.soundOnly, 'aria-describedby': 'sound-only-hint' },
    on: { click: () => chooseAudioOnly(isSoundOnly ? 'off' : 'on') },
  });
  const summary = h('p', { class: 'health-summary', attrs: { role: 'status' } });
  const means = h('p', { class: 'panel-note' });
  const down = figures([text.carries, text.arriving, text.lost, text.roundTrip, text.waiting, text.heldBackBy, text.madeUp, text.voices]);
  const up = figures([text.carries, text.sending, text.reaching, text.lost, text.ownPicture, text.intoMix]);
  const list = h('ul', { class: 'health-people', attrs: { 'aria-label': text.pictures } });
  const nobody = h('p', { class: 'panel-note' }, text.nobody);
  /** @type {Map<string, HTMLElement>} */
  const rows = new Map();
  const element = h(
    'section',
    { class: 'panel-body', attrs: { 'aria-labelledby': 'panel-heading' } },
    panelHead(text.heading, close),
    h(
      'div',
      { class: 'panel-scroll', attrs: { tabindex: '0', role: 'region', 'aria-label': text.heading } },
      h('div', { class: 'health-grade' }, summary, means),
      h('div', { class: 'health-switch' }, h('span', {}, text.soundOnly), soundOnly, h('p', { class: 'panel-note', attrs: { id: 'sound-only-hint' } }, text.soundOnlyHint)),
      h('h3', {}, text.pictures),
      list,
      nobody,
      h('h3', {}, text.toYou),
      down.element,
      h('h3', {}, text.fromYou),
      up.element,
    ),
  );

  /** @param {MeetingState} state */
  const paintPeople = (state) => {
    const { told, own } = state.health;
    const shown = (told?.slots ?? []).flatMap((slot) => {
      const publication = state.publications.get(slot.publicationId);
      const person = state.participants.get(publication?.participantId ?? '');
      if (!person || (publication?.kind === 'camera' && person.cameraMuted)) return [];
      return [{ slot, name: publication?.kind === 'screen' ? en.meeting.screenOf(person.displayName) : person.displayName }];
    });
    keyed(list, rows, shown, ({ slot }) => slot.mid, () => h('li', { class: 'health-person' }, h('span', { class: 'person-name' }), h('span', { class: 'person-note' })));
    for (const { slot, name } of shown) {
      const row = rows.get(slot.mid);
      const reason = pictureReason(slot);
      const size = reason === 'paused' ? undefined : own?.pictures.get(slot.mid);
      const words = [known(size, text.picture), text.why(reason, told?.down?.target ?? null)].filter((word) => word !== null);
      if (row?.firstElementChild) setText(row.firstElementChild, name);
      if (row?.lastElementChild) setText(row.lastElementChild, words.join('; '));
      if (row) setAttr(row, 'data-reason', reason);
    }
    setHidden(nobody, shown.length > 0);
    setHidden(list, shown.length === 0);
  };

  return {
    element,
    /** @param {MeetingState} state */
    update(state) {
      const { told, own, down: trend } = state.health;
      setText(summary, text.own(trend.grade));
      setAttr(summary, 'data-grade', trend.grade ?? 'unknown');
      setText(means, trend.grade === null ? '' : text.means[trend.grade]);
      setHidden(means, trend.grade === null);
      isSoundOnly = state.audioOnly.active;
      setAttr(soundOnly, 'aria-checked', String(isSoundOnly));
      paintPeople(state);
      const path = told?.down;
      down.set([
        known(path?.target, text.rate),
        known(own?.receiving ?? path?.arriving, text.rate),
        known(path?.lossPermille, text.share),
        known(own?.roundTrip ?? path?.roundTrip, text.time),
        known(path?.queue, text.time),
        known(path?.limit, text.limit),
        known(own?.madeUp, (share) => text.share(share * 1_000)),
        known(told, ({ mix }) => (mix ? text.mixed(mix) : text.voicesApart)),
      ]);
      up.set([
        known(own?.carries, text.rate),
        known(own?.sending, text.rate),
        known(told, ({ up: sent }) => (sent.length === 0 ? text.nothingSent : text.rate(arriving(sent)))),
        known(told, ({ up: sent }) => lossOf(sent)),
        known(own, pictureOf),
        known(told, ({ up: sent }) => intoMixOf(sent)),
      ]);
    },
  };
}

/** @param {readonly UplinkHealth[]} sent */
const arriving = (sent) => sent.flatMap(({ bitrates }) => bitrates).reduce((/** @type {number} */ sum, bitrate) => sum + (bitrate ?? 0), 0);

/** @param {readonly UplinkHealth[]} sent @returns {string | null} */
function lossOf(sent) {
  const packets = sent.reduce((sum, one) => sum + one.packets, 0);
  if (packets === 0) return null;
  /** @param {(one: UplinkHealth) => number | null} part */
  const mean = (part) => sent.reduce((sum, one) => sum + (part(one) ?? 0) * one.packets, 0) / packets;
  return text.repaired(mean(({ lossPermille }) => lossPermille), mean(({ missingPermille }) => missingPermille));
}

/** @param {readonly UplinkHealth[]} sent */
function intoMixOf(sent) {
  const mixed = sent.find(({ kind }) => kind === 'microphone')?.mixed;
  return mixed ? text.goesIntoMix(mixed) : text.notMixed;
}

/** @param {NonNullable<HealthState['own']>} own */
function pictureOf({ picture, heldBack }) {
  if (picture === null) return text.nothingSent;
  return `${text.picture(picture)}; ${text.heldBack[heldBack ?? 'none']}`;
}

/** The button that opens it: bars for the own network, as far as it is known. @param {() => void} click */
export function createHealthButton(click) {
  const button = h(
    'button',
    { class: 'health-button', attrs: { type: 'button', 'aria-label': text.heading, 'aria-controls': 'panel', title: text.heading }, on: { click } },
    bars(),
  );
  return {
    button,
    /** @param {MeetingState} state */
    update({ health, panel }) {
      const { grade } = health.down;
      setAttr(button, 'data-grade', grade ?? 'unknown');
      setAttr(button, 'aria-description', text.own(grade));
      setAttr(button, 'aria-expanded', String(panel === 'health'));
    },
  };
}

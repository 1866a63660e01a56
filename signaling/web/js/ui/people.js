/**
 * The people panel: who is here, how they are heard and seen, and what an organiser may do about it.
 */

import { isOwnMuted } from '../state/select.js';
import { sharerOf } from '../state/share.js';
import { en } from '../text/en.js';
import { panelHead } from './chat.js';
import { confirmDialog } from './dialog.js';
import { createBars } from './bars.js';
import { h, icon, keyed, setAttr, setHidden, setIcon, setText } from './dom.js';
import { paintFace } from './tile.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { Participant } from '../protocol/messages.js' */

/**
 * @typedef {object} PeopleContext
 * @property {(participantId: string | null) => void} spotlight Null: nobody any more.
 * @property {(participantId: string) => void} mute
 * @property {(participantId: string) => void} remove
 * @property {() => void} copyLink
 * @property {() => void} close
 */
/** @typedef {(person: Participant, state: MeetingState) => void} PaintRow */

/** @param {PeopleContext} context */
export function createPeople(context) {
  const count = h('p', { class: 'panel-note' });
  const list = h('ul', { class: 'people', attrs: { 'aria-labelledby': 'panel-heading' } });
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  /** @type {WeakMap<HTMLElement, PaintRow>} */
  const painters = new WeakMap();
  const element = h(
    'section',
    { class: 'panel-body', attrs: { 'aria-labelledby': 'panel-heading' } },
    panelHead(en.people.heading, context.close),
    h(
      'div',
      { class: 'panel-scroll' },
      h('button', { class: 'button wide', attrs: { type: 'button' }, on: { click: context.copyLink } }, icon('link'), en.people.copyJoinLink),
      count,
      list,
    ),
  );
  return {
    element,
    /** @param {MeetingState} state */
    update(state) {
      const people = [...state.participants.values()];
      setText(count, en.people.count(people.filter(({ kind }) => kind === 'person').length));
      keyed(list, elements, people, ({ id }) => id, (person) => {
        const { row, paint } = createRow(person.id, context);
        painters.set(row, paint);
        return row;
      });
      for (const person of people) {
        const row = elements.get(person.id);
        if (row) painters.get(row)?.(person, state);
      }
    },
  };
}

/** @param {string} id @param {PeopleContext} context @returns {{ row: HTMLElement, paint: PaintRow }} */
function createRow(id, context) {
  let person = '';
  let spotlit = false;
  const face = h('span', { class: 'face small', attrs: { 'aria-hidden': 'true' } });
  const name = h('span', { class: 'person-name' });
  const note = h('span', { class: 'person-note' });
  const microphone = deviceMark('mic', 'mic-off', en.people.microphoneOn, en.people.microphoneOff);
  const camera = deviceMark('camera', 'camera-off', en.people.cameraOn, en.people.cameraOff);
  const network = createBars(en.health.mark);
  const spotlight = h(
    'button',
    { class: 'button icon-only quiet', attrs: { type: 'button' }, on: { click: () => context.spotlight(spotlit ? null : id) } },
    icon('spotlight'),
  );
  const mute = h('button', { class: 'button icon-only quiet', attrs: { type: 'button' }, on: { click: () => context.mute(id) } }, icon('mic-off'));
  const remove = h(
    'button',
    {
      class: 'button icon-only quiet',
      attrs: { type: 'button' },
      on: {
        click: () =>
          confirmDialog(
            { heading: en.people.removeHeading(person), text: en.people.removeText, confirm: en.people.removeConfirm },
            () => context.remove(id),
          ),
      },
    },
    icon('remove'),
  );
  const row = h(
    'li',
    { class: 'person', data: { personId: id } },
    face,
    h('span', { class: 'person-words' }, name, note),
    h('span', { class: 'person-devices' }, network.element, microphone.element, camera.element),
    h('span', { class: 'person-actions' }, spotlight, mute, remove),
  );
  return {
    row,
    paint(participant, state) {
      person = participant.displayName;
      const isSelf = id === state.self;
      const isPerson = participant.kind === 'person';
      const moderates = state.role === 'organizer' && !isSelf && isPerson;
      paintFace(face, person);
      setText(name, isSelf ? en.people.you(person) : person);
      setText(note, noteOf(participant, sharerOf(state) === id));
      const micOn = isSelf ? !isOwnMuted(state, 'microphone') : participant.hasMicrophone && !participant.microphoneMuted;
      const cameraOn = isSelf ? !isOwnMuted(state, 'camera') : participant.hasCamera && !participant.cameraMuted;
      setHidden(microphone.element, !isPerson);
      setHidden(camera.element, !isPerson);
      network.set(isPerson && participant.connected ? participant.network ?? null : null);
      microphone.set(micOn);
      camera.set(cameraOn);
      ({ spotlit } = participant);
      const spotlightWords = spotlit ? en.people.endSpotlight(person) : en.people.spotlight(person);
      setAttr(spotlight, 'aria-label', spotlightWords);
      setAttr(spotlight, 'title', spotlightWords);
      spotlight.classList.toggle('is-on', spotlit);
      setHidden(spotlight, !isPerson);
      setAttr(mute, 'aria-label', en.people.mute(person));
      setAttr(mute, 'title', en.people.mute(person));
      setAttr(remove, 'aria-label', en.people.remove(person));
      setAttr(remove, 'title', en.people.remove(person));
      setHidden(mute, !moderates || !micOn);
      setHidden(remove, !moderates);
    },
  };
}

/** @param {Participant} participant @param {boolean} shares */
function noteOf(participant, shares) {
  if (participant.kind === 'recorder') return en.people.recorder;
  if (!participant.connected) return en.people.comingBack;
  if (shares) return en.people.shares;
  return participant.role === 'organizer' ? en.people.organiser : '';
}

/** @param {string} on @param {string} off @param {string} onText @param {string} offText */
function deviceMark(on, off, onText, offText) {
  const svg = icon(on);
  const words = h('span', { class: 'visually-hidden' });
  const element = h('span', { class: 'device-mark' }, svg, words);
  return {
    element,
    set(/** @type {boolean} */ isOn) {
      setIcon(svg, isOn ? on : off);
      setText(words, isOn ? onText : offText);
      element.classList.toggle('is-off', !isOn);
    },
  };
}

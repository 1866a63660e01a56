/**
 * The people panel: who is here, how they are heard and seen, and what an organiser may do about it.
 */

import { may } from '../state/order.js';
import { isHuman, isOwnMuted, isRaised } from '../state/select.js';
import { sharerOf } from '../state/share.js';
import { en } from '../text/en.js';
import { panelHead } from './chat.js';
import { confirmDialog } from './dialog.js';
import { createBars } from './bars.js';
import { h, icon, keyed, setAttr, setHidden, setIcon, setText } from './dom.js';
import { createLobby } from './lobby.js';
import { createCalling, createPhoneBox } from './phones.js';
import { paintFace } from './tile.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { Asks } from '../app/asks.js' */
/** @import { PhonesContext } from './phones.js' */
/** @import { Participant, Role } from '../protocol/messages.js' */

/**
 * @typedef {object} PeopleContext
 * @property {Asks} asks
 * @property {() => void} options Opens the meeting's options.
 * @property {() => void} copyLink
 * @property {() => void} invite Opens the meeting's invitation.
 * @property {PhonesContext} phones
 * @property {() => void} close
 */
/** @typedef {(person: Participant, state: MeetingState) => void} PaintRow */

/** What somebody can be made. @type {readonly Exclude<Role, 'organizer'>[]} */
const ROLES = ['coorganizer', 'presenter', 'attendee'];

/** @param {PeopleContext} context */
export function createPeople(context) {
  const tools = createTools(context);
  const lobby = createLobby(context.asks);
  const phoneBox = createPhoneBox(context.phones);
  const calling = createCalling(context.phones, phoneBox.focus);
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
      h(
        'div',
        { class: 'people-ways' },
        h('button', { class: 'button', attrs: { type: 'button' }, on: { click: context.copyLink } }, icon('link'), en.people.copyJoinLink),
        h('button', { class: 'button', attrs: { type: 'button' }, on: { click: context.invite } }, en.people.invitation),
      ),
      phoneBox.element,
      tools.element,
      lobby.element,
      calling.element,
      count,
      list,
    ),
  );
  return {
    element,
    /** @param {MeetingState} state */
    update(state) {
      const people = inOrder([...state.participants.values()]);
      tools.update(state);
      lobby.update(state);
      phoneBox.update(state);
      calling.update(state);
      setText(count, en.people.count(people.filter(isHuman).length));
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

/** Raised hands come first, in the order in which they were raised. @param {Participant[]} people */
const inOrder = (people) => [
  ...people.filter(isRaised).sort((one, other) => (one.hand ?? 0) - (other.hand ?? 0)),
  ...people.filter((person) => !isRaised(person)),
];

/** What concerns everybody at once. @param {PeopleContext} context */
function createTools({ asks, options }) {
  let isLocked = false;
  const tool = (/** @type {string} */ picture, /** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ click) =>
    h('button', { class: 'button small', attrs: { type: 'button', 'aria-label': name, title: name }, on: { click } }, icon(picture), text);
  const muteAll = tool('mic-off', en.people.muteAll, en.people.muteAll, asks.muteAll);
  const lock = tool('lock', en.people.lockShort, en.people.lock, () => asks.lock(!isLocked));
  const settings = tool('options', en.options.short, en.options.heading, options);
  const held = h('p', { class: 'panel-note' }, en.people.held);
  const element = h('div', { class: 'people-tools' }, muteAll, lock, settings, held);
  return {
    element,
    /** @param {MeetingState} state */
    update(state) {
      ({ isLocked } = state.order.options);
      setHidden(muteAll, !may(state, 'mute'));
      setHidden(lock, !may(state, 'lock'));
      setAttr(lock, 'aria-pressed', String(isLocked));
      setHidden(settings, !may(state, 'changeOptions'));
      setHidden(held, !state.order.options.areAnonymousHeld || !may(state, 'admit'));
      setHidden(element, !['mute', 'lock', 'changeOptions'].some((right) => may(state, /** @type {import('../protocol/messages.js').Right} */ (right))));
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
    { class: 'button icon-only quiet', attrs: { type: 'button' }, on: { click: () => context.asks.spotlight(spotlit ? null : id) } },
    icon('spotlight'),
  );
  const mute = h('button', { class: 'button icon-only quiet', attrs: { type: 'button' }, on: { click: () => context.asks.mute(id) } }, icon('mic-off'));
  const remove = h(
    'button',
    {
      class: 'button icon-only quiet',
      attrs: { type: 'button' },
      on: {
        click: () =>
          confirmDialog(
            { heading: en.people.removeHeading(person), text: en.people.removeText, confirm: en.people.removeConfirm },
            () => context.asks.remove(id),
          ),
      },
    },
    icon('remove'),
  );
  const lower = h('button', { class: 'button icon-only quiet is-on', attrs: { type: 'button' }, on: { click: () => context.asks.hand(false, id) } }, icon('hand'));
  const hand = h('span', { class: 'device-mark' }, icon('hand'), h('span', { class: 'visually-hidden' }, en.meeting.handTag));
  const role = h('select', { class: 'person-role', on: { change: () => context.asks.setRole(id, /** @type {Role} */ (role.value)) } }, ...ROLES.map((name) => h('option', { attrs: { value: name } }, en.people.roles[name])));
  const row = h(
    'li',
    { class: 'person', data: { personId: id } },
    face,
    h('span', { class: 'person-words' }, name, note),
    h('span', { class: 'person-devices' }, network.element, hand, microphone.element, camera.element),
    h('span', { class: 'person-actions' }, role, lower, spotlight, mute, remove),
  );
  return {
    row,
    paint(participant, state) {
      person = participant.displayName;
      const isSelf = id === state.self;
      const isPerson = isHuman(participant);
      const isOther = !isSelf && isPerson;
      const raised = isRaised(participant);
      paintFace(face, person, participant.kind);
      setText(name, isSelf ? en.people.you(person) : person);
      setText(note, noteOf(participant, sharerOf(state) === id));
      const micOn = isSelf ? !isOwnMuted(state, 'microphone') : participant.hasMicrophone && !participant.microphoneMuted;
      const cameraOn = isSelf ? !isOwnMuted(state, 'camera') : participant.hasCamera && !participant.cameraMuted;
      setHidden(microphone.element, !isPerson);
      setHidden(camera.element, participant.kind !== 'person');
      network.set(isPerson && participant.connected ? participant.network ?? null : null);
      microphone.set(micOn);
      camera.set(cameraOn);
      ({ spotlit } = participant);
      const spotlightWords = spotlit ? en.people.endSpotlight(person) : en.people.spotlight(person);
      setAttr(spotlight, 'aria-label', spotlightWords);
      setAttr(spotlight, 'title', spotlightWords);
      spotlight.classList.toggle('is-on', spotlit);
      setHidden(spotlight, participant.kind !== 'person' || !may(state, 'spotlight'));
      setAttr(mute, 'aria-label', en.people.mute(person));
      setAttr(mute, 'title', en.people.mute(person));
      setAttr(remove, 'aria-label', en.people.remove(person));
      setAttr(remove, 'title', en.people.remove(person));
      setHidden(mute, !isOther || !micOn || !may(state, 'mute'));
      // Nobody removes the organiser, and organisers alone each other.
      const ranks = participant.role !== 'organizer' && (participant.role !== 'coorganizer' || state.role === 'organizer');
      setHidden(remove, !isOther || !ranks || !may(state, 'remove'));
      setHidden(lower, !isOther || !raised || !may(state, 'lowerHands'));
      setHidden(hand, !raised || !lower.hidden);
      setAttr(lower, 'aria-label', en.people.lowerHand(person));
      setAttr(lower, 'title', en.people.lowerHand(person));
      const assigns = isOther && ranks && may(state, 'setRoles');
      setHidden(role, !assigns);
      setAttr(role, 'aria-label', en.people.roleOf(person));
      if (role.value !== participant.role && document.activeElement !== role) role.value = participant.role;
    },
  };
}

/** @param {Participant} participant @param {boolean} shares */
function noteOf(participant, shares) {
  if (participant.kind === 'recorder') return en.people.recorder;
  if (!participant.connected) return en.people.comingBack;
  if (participant.kind === 'phone') return phoneNote(participant);
  if (shares) return en.people.shares;
  if (participant.role === 'organizer') return en.people.organiser;
  const role = participant.role === 'presenter' ? '' : en.people.roles[participant.role];
  return [role, participant.verified ? '' : en.people.unverified].filter(Boolean).join(' · ');
}

/** Nobody has proven who speaks on a phone, unless it was by the PIN. @param {Participant} participant */
const phoneNote = ({ role }) => (role === 'organizer' ? `${en.people.organiser} · ${en.people.phone}` : en.people.phone);

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

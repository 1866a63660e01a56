/**
 * One tile: a person's picture, or their initials, under their name.
 *
 * Why a tile may hold a `<video>` for ever: the slot's element never moves or restarts; only the name, the cover and
 * the box change when the server puts another person into the slot.
 */

import { hueOf, initials } from '../state/names.js';
import { isRaised } from '../state/select.js';
import { en } from '../text/en.js';
import { createBars } from './bars.js';
import { h, icon, setAttr, setHidden, setText } from './dom.js';

/** @import { NetworkGrade, Participant } from '../protocol/messages.js' */
/** @import { Box, Tile } from '../state/layout.js' */

/**
 * @typedef {object} TileView
 * @property {HTMLElement} element
 * @property {HTMLButtonElement} pin
 * @property {(tile: Tile, person: Participant, marks: { pinned: boolean, paused: boolean }) => void} update `paused`: our network carries no picture of theirs.
 * @property {(box: Box) => void} place
 * @property {(speaking: boolean) => void} setSpeaking
 */

/** Who is on the phone often has a number for a name: a phone says more than its first digit. @param {string} name @param {HTMLElement} face @param {string} [kind] */
export function paintFace(face, name, kind) {
  const isPhone = kind === 'phone';
  face.classList.toggle('is-phone', isPhone);
  if (!isPhone) setText(face, initials(name));
  else if (!face.querySelector('svg')) face.replaceChildren(icon('phone'));
  setAttr(face, 'data-hue', String(hueOf(name)));
}

/** Stages are calm: a mark stands there only where something is wrong. @param {NetworkGrade | null | undefined} grade */
export const markOf = (grade) => (grade === 'weak' || grade === 'poor' ? grade : null);

/** Boxes are CSS variables: moving a tile costs no layout of what is in it. @param {Box} box @param {HTMLElement} element */
export function putIn(box, { style }) {
  style.setProperty('--x', `${box.x}px`);
  style.setProperty('--y', `${box.y}px`);
  style.setProperty('--w', `${box.width}px`);
  style.setProperty('--h', `${box.height}px`);
}

/** @param {HTMLVideoElement | null} video @param {(participantId: string) => void} togglePin @returns {TileView} */
export function createTile(video, togglePin) {
  const face = h('span', { class: 'face', attrs: { 'aria-hidden': 'true' } });
  const cover = h('div', { class: 'tile-cover' }, face);
  const name = h('span', { class: 'tile-name' });
  const muted = h('span', { class: 'tile-muted' }, icon('mic-off'), h('span', { class: 'visually-hidden' }, en.meeting.mutedTag));
  const spotlit = h('span', { class: 'tile-muted' }, icon('spotlight'), h('span', { class: 'visually-hidden' }, en.meeting.spotlitTag));
  const hand = h('span', { class: 'tile-hand' }, icon('hand'), h('span', { class: 'visually-hidden' }, en.meeting.handTag));
  const phone = h('span', { class: 'visually-hidden' }, en.people.phone);
  const network = createBars(en.health.mark);
  const away = h('span', { class: 'tile-away' }, en.meeting.reconnectingTag);
  const paused = h('span', { class: 'tile-away' }, en.health.pausedTag);
  const pinned = h('span', { class: 'tile-pinned' }, icon('pin'), h('span', { class: 'visually-hidden' }, en.meeting.pinnedTag));
  const pin = h(
    'button',
    { class: 'tile-pin', attrs: { type: 'button', tabindex: '-1' }, on: { click: () => togglePin(element.dataset.participantId ?? '') } },
    icon('pin'),
  );
  const element = h(
    'li',
    { class: 'tile' },
    video,
    cover,
    h('div', { class: 'tile-label' }, pinned, spotlit, hand, muted, name, phone, network.element, paused, away),
    h('div', { class: 'tile-ring' }),
    pin,
  );
  return {
    element,
    pin,
    update(tile, person, { pinned: isPinned, paused: isPaused }) {
      const action = isPinned ? en.meeting.unpin(person.displayName) : en.meeting.pin(person.displayName);
      setAttr(pin, 'aria-label', action);
      setAttr(pin, 'title', action);
      setAttr(element, 'data-participant-id', person.id);
      const isScreen = tile.kind === 'screen';
      const title = isScreen ? en.meeting.screenOf(person.displayName) : person.displayName;
      setAttr(element, 'data-name', title);
      setAttr(element, 'data-live', String(tile.live));
      setAttr(element, 'data-camera', person.cameraMuted && !isScreen ? 'off' : 'on');
      setText(name, title);
      paintFace(face, person.displayName, person.kind);
      setHidden(phone, person.kind !== 'phone');
      setHidden(muted, isScreen || (!person.microphoneMuted && person.hasMicrophone));
      element.classList.toggle('is-screen', isScreen);
      setHidden(pinned, isScreen || !isPinned);
      element.classList.toggle('is-pinned', isPinned && !isScreen);
      // A screen is large anyway, and it is people that are pinned.
      setHidden(pin, isScreen);
      setHidden(hand, isScreen || !isRaised(person));
      setHidden(spotlit, isScreen || !person.spotlit);
      network.set(person.connected && !isScreen ? markOf(person.network) : null);
      setHidden(paused, !isPaused || !person.connected);
      setHidden(away, person.connected);
      element.classList.toggle('is-away', !person.connected);
    },
    place(box) {
      putIn(box, element);
      element.classList.toggle('is-small', box.width < 260);
    },
    setSpeaking(speaking) {
      setAttr(element, 'data-speaking', String(speaking));
    },
  };
}

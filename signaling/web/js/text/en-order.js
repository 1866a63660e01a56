/**
 * The words about lobby, roles, options, hands and reactions, in English.
 */

import { plural } from './format.js';

/** @import { LobbyReason, Reaction, Role } from '../protocol/messages.js' */

export const lobby = {
  title: 'Waiting to be let in – Plenum',
  /** @type {Record<LobbyReason, string>} */
  heading: {
    policy: 'Someone will let you in',
    notStarted: 'The meeting has not started yet',
    locked: 'The meeting is locked',
  },
  /** @type {Record<LobbyReason, string>} */
  text: {
    policy: 'You are in the lobby. This page goes on by itself when somebody lets you in.',
    notStarted: 'You are in the lobby. This page goes on by itself when the meeting starts.',
    locked: 'You are in the lobby. Somebody in the meeting can let you in; this page then goes on by itself.',
  },
  unseen: 'Nobody sees or hears you yet.',
  microphone: 'Microphone',
  camera: 'Camera',
  /** @param {string} name @param {boolean} on */
  device: (name, on) => `${name} ${on ? 'on' : 'off'}`,
  label: 'Lobby',
  /** @param {number} n */
  count: (n) => plural(n, { one: '# person waits to be let in', other: '# people wait to be let in' }),
  admit: 'Admit',
  deny: 'Deny',
  admitAll: 'Admit all',
  showAll: 'Show all',
  /** @param {string} name */
  admitPerson: (name) => `Admit ${name}`,
  /** @param {string} name */
  denyPerson: (name) => `Deny ${name}`,
  /** @param {string} name */
  waits: (name) => `${name} waits to be let in.`,
};

export const options = {
  heading: 'Meeting options',
  short: 'Options',
  save: 'Save',
  scope: 'Who comes in without waiting',
  /** @type {Record<string, string>} */
  scopes: {
    everyone: 'Everybody with the link',
    organizationAndFederated: 'My organisation, its guests and trusted organisations',
    organization: 'My organisation and its guests',
    organizationExcludingGuests: 'My organisation',
    invited: 'People whom I invited',
    organizer: 'Only organisers',
  },
  presenters: 'Who presents',
  /** @type {Record<string, string>} */
  allowedPresenters: {
    everyone: 'Everybody',
    organization: 'My organisation and its guests',
    roleIsPresenter: 'People whom I named',
    organizer: 'Only organisers',
  },
  chat: 'Chat',
  /** @type {Record<string, string>} */
  chats: { enabled: 'At any time', limited: 'While the meeting is on', disabled: 'Off' },
  /** @type {Record<string, string>} */
  flags: {
    canAnonymousStart: 'Guests may start the meeting',
    areAnonymousHeld: 'Guests wait in the lobby, whatever is chosen above',
    isLocked: 'Locked: everybody who comes now waits',
    allowAttendeeToEnableMic: 'Attendees may switch their microphones on',
    allowAttendeeToEnableCamera: 'Attendees may switch their cameras on',
    allowTeamworkReactions: 'Reactions',
    recordAutomatically: 'Record every meeting from its start',
  },
};

export const consent = {
  heading: 'This meeting is recorded',
  text: 'Agree to use your microphone, camera and screen. Until then nobody hears or sees you, and you can watch, listen and write.',
  agree: 'Agree',
  notNow: 'Not now',
  held: 'This meeting is recorded. Nobody hears or sees you until you agree.',
  answer: 'Answer',
  withdraw: 'Take back my consent',
};

/** @type {Record<Reaction, string>} */
export const reactions = { like: 'Like', heart: 'Heart', applause: 'Applause', laugh: 'Laugh', surprised: 'Surprised' };

/** @type {Record<Exclude<Role, 'organizer'>, string>} */
export const roles = { coorganizer: 'Co-organiser', presenter: 'Presenter', attendee: 'Attendee' };

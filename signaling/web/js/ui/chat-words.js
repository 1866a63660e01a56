/**
 * How chats and what happens in them are named: titles, last lines, quiet lines.
 */

import { clock } from '../text/format.js';
import { chats as words } from '../text/en-chats.js';
import { meetingLine } from './meeting-lines.js';

/** @import { Chat } from '../state/chat.js' */
/** @import { ThreadEvent } from '../protocol/messages.js' */

/** Names in the title of a group without a topic. */
const NAMES_IN_TITLE = 3;

/** @param {Chat} chat @param {string} me */
export function titleOf({ chatType, topic, members }, me) {
  if (topic !== '') return topic;
  if (chatType === 'meeting') return words.untitledMeeting;
  const others = members.filter(({ userId }) => userId !== me).map(({ displayName }) => displayName);
  if (others.length === 0) return chatType === 'group' ? words.untitledGroup : words.alone(members[0]?.displayName ?? '');
  return others.slice(0, NAMES_IN_TITLE).join(', ') + (others.length > NAMES_IN_TITLE ? ` +${others.length - NAMES_IN_TITLE}` : '');
}

/** The last line of a chat in the list. @param {Chat} chat @param {string} me */
export function lastLine({ preview, chatType, pending }, me) {
  const own = pending.at(-1);
  if (own) return words.you(own.text);
  if (!preview) return words.nothingYet;
  if (preview.kind === 'phoneCall') return lineOf(preview);
  const text = preview.deleted ? words.thread.deleted : preview.text.replace(/\s+/g, ' ');
  if (preview.from.userId === me) return words.you(text);
  return chatType === 'oneOnOne' ? text : words.by(preview.from.displayName, text);
}

/** A clock today, the day before that. @param {string} time */
export const shortTime = (time) => {
  const date = new Date(time);
  if (date.toDateString() === new Date().toDateString()) return clock(time);
  return new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }).format(date);
};

/** @param {ThreadEvent} event @returns {string} */
export function lineOf(event) {
  switch (event.kind) {
    case 'chatCreated':
      return words.lines.created(event.by.displayName);
    case 'membersAdded':
      return words.lines.added(event.by.displayName, event.members.map(({ displayName }) => displayName));
    case 'memberRemoved':
      return event.by.userId === event.userId ? words.lines.left(event.displayName) : words.lines.removed(event.by.displayName, event.displayName);
    case 'topicChanged':
      return words.lines.topic(event.by.displayName, event.topic);
    default:
      return meetingLine(event) ?? '';
  }
}

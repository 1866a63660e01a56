/**
 * What can happen in a chat besides a call: written, changed, taken back, felt about; who is in it, what it is about.
 *
 * Why apart from `messages.js`: meetings and chats share their thread, and this part of it has a language of its own.
 * A message stands in the thread as it is now; that it changed is an event of its own.
 *
 *   server -> [messages.js, feed-messages.js] check by these shapes -> state/
 */

import { count, flag, listOf, oneOf, optional, orNull, shape, text } from './checks.js';

/** @import { Check } from './checks.js' */

/** @typedef {'like' | 'heart' | 'laugh' | 'surprised' | 'sad' | 'angry'} Reaction */
/** @type {readonly Reaction[]} In the order in which they are offered. */
export const REACTIONS = ['like', 'heart', 'laugh', 'surprised', 'sad', 'angry'];

/** @typedef {'owner' | 'member'} ChatRole */
/** @typedef {{ participantId: string | null, userId?: string, displayName: string }} Sender A guest has no `userId`. */
/** @typedef {{ userId: string, displayName: string }} Mention */
/** @typedef {{ userId: string, displayName: string, role: ChatRole }} NewMember */
/**
 * @typedef {object} MessageBody
 * @property {Sender} from
 * @property {string} text Empty when it was deleted.
 * @property {string} clientMessageId
 * @property {string} [html] The same with marks; missing for plain text.
 * @property {Mention[]} [mentions]
 * @property {number} [replyTo] The seq of what it answers.
 * @property {string} [edited] When.
 * @property {boolean} [deleted]
 * @property {Record<string, Reaction>} [reactions] By user, or participant for guests.
 */
/** @typedef {{ kind: 'messageEdited', message: number, text: string, html?: string, mentions?: Mention[], by: Sender }} MessageEdited */
/** @typedef {{ kind: 'messageDeleted', message: number, by: Sender }} MessageDeleted */
/** @typedef {{ kind: 'messageReaction', message: number, reaction: Reaction | null, by: Sender }} MessageReaction */
/** @typedef {{ kind: 'chatCreated', topic: string, members: NewMember[], by: Sender }} ChatCreated */
/** @typedef {{ kind: 'membersAdded', members: NewMember[], by: Sender }} MembersAdded */
/** @typedef {{ kind: 'memberRemoved', userId: string, displayName: string, by: Sender }} MemberRemoved */
/** @typedef {{ kind: 'topicChanged', topic: string, by: Sender }} TopicChanged */
/** @typedef {MessageEdited | MessageDeleted | MessageReaction | ChatCreated | MembersAdded | MemberRemoved | TopicChanged} ChatThreadEvent */

/** Who is meant, as the key of a reaction. @param {Sender} sender */
export const keyOf = ({ userId, participantId }) => userId ?? participantId ?? '';

const sender = shape({ participantId: orNull(text), userId: optional(text), displayName: text });
const mentions = optional(listOf(shape({ userId: text, displayName: text })));
const reaction = oneOf(...REACTIONS);
const members = listOf(shape({ userId: text, displayName: text, role: oneOf('owner', 'member') }));
/** @type {Check} Reactions that a newer server knows are no reason to lose the message. */
const reactions = optional((value) => typeof value === 'object' && Object.values(/** @type {object} */ (value)).every(text));

/** @type {Record<string, Check>} */
export const CHAT_EVENT_KINDS = {
  message: shape({
    from: sender,
    text,
    clientMessageId: text,
    html: optional(text),
    mentions,
    replyTo: optional(count),
    edited: optional(text),
    deleted: optional(flag),
    reactions,
  }),
  messageEdited: shape({ message: count, text, html: optional(text), mentions, by: sender }),
  messageDeleted: shape({ message: count, by: sender }),
  messageReaction: shape({ message: count, reaction: orNull(reaction), by: sender }),
  chatCreated: shape({ topic: text, members, by: sender }),
  membersAdded: shape({ members, by: sender }),
  memberRemoved: shape({ userId: text, displayName: text, by: sender }),
  topicChanged: shape({ topic: text, by: sender }),
};

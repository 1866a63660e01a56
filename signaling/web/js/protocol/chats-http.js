/**
 * Chats over plain HTTP: lists, pages, and everything that a person does. What happens is told by the feed.
 *
 *   app/chats.js -> here -> call (http.js) -> server;  refusals are `ApiError`s with a code
 */

import { call } from './http.js';

/** @import { ChatRole, Reaction } from './chat-events.js' */
/** @import { MessageEvent_, ThreadEvent } from './messages.js' */

/**
 * @typedef {object} ChatBody
 * @property {string} id
 * @property {'oneOnOne' | 'group' | 'meeting'} chatType
 * @property {string} topic
 * @property {string} createdDateTime
 * @property {number} lastSeq
 * @property {{ lastReadSeq: number, visibleAfterSeq: number, role: ChatRole }} viewpoint
 * @property {number} unread
 * @property {ThreadEvent} [lastMessagePreview]
 * @property {{ userId: string, displayName: string, role: ChatRole, lastReadSeq: number }[]} members
 */
/** @template T @typedef {{ value: T[], '@odata.nextLink'?: string }} Page */
/** @typedef {{ chatId: string, event: MessageEvent_ }} Hit */
/** @typedef {{ id: string, displayName: string, mail?: string }} Person */
/** @typedef {{ clientMessageId: string, text: string, mentions?: string[], replyTo?: number }} NewMessage */

const part = encodeURIComponent;
/** @param {string} id */
const chat = (id) => `/v1/chats/${part(id)}`;

/** @param {string} [link] The next page; without one, the first. @returns {Promise<Page<ChatBody>>} */
export const listChats = async (link) => /** @type {Page<ChatBody>} */ (await call('GET', link ?? '/v1/me/chats'));

/** @param {string} id @returns {Promise<ChatBody>} */
export const readChat = async (id) => /** @type {ChatBody} */ (await call('GET', chat(id)));

/** @param {string} topic @param {string[]} members One other and no topic: their one-to-one chat. @returns {Promise<ChatBody>} */
export const createChat = async (topic, members) =>
  /** @type {ChatBody} */ (
    await call('POST', '/v1/chats', { body: members.length === 1 && topic === '' ? { chatType: 'oneOnOne', members } : { chatType: 'group', topic, members } })
  );

/** @param {string} id @param {string} topic */
export const renameChat = (id, topic) => call('PATCH', chat(id), { body: { topic } });

/** @param {string} id @param {string[]} members @param {boolean} withHistory */
export const addMembers = (id, members, withHistory) =>
  call('POST', `${chat(id)}/members`, { body: { members, ...(withHistory && { visibleHistoryStartDateTime: '0001-01-01T00:00:00Z' }) } });

/** Oneself: leave. @param {string} id @param {string} userId */
export const removeMember = (id, userId) => call('DELETE', `${chat(id)}/members/${part(userId)}`);

/** The newest before a seq, oldest first. @param {string} id @param {number} before @param {number} top @returns {Promise<Page<ThreadEvent>>} */
export const pageBefore = async (id, before, top) =>
  /** @type {Page<ThreadEvent>} */ (await call('GET', `${chat(id)}/messages?before=${before}&$top=${top}`));

/** The same `clientMessageId` again is the same message. @param {string} id @param {NewMessage} message @returns {Promise<ThreadEvent>} */
export const sendMessage = async (id, message) =>
  /** @type {ThreadEvent} */ (await call('POST', `${chat(id)}/messages`, { body: message }));

/** @param {string} id @param {number} seq @param {string} text @param {string[]} mentions */
export const editMessage = (id, seq, text, mentions) => call('PATCH', `${chat(id)}/messages/${seq}`, { body: { text, mentions } });

/** @param {string} id @param {number} seq */
export const deleteMessage = (id, seq) => call('DELETE', `${chat(id)}/messages/${seq}`);

/** @param {string} id @param {number} seq @param {Reaction | null} reaction */
export const reactTo = (id, seq, reaction) => call('PUT', `${chat(id)}/messages/${seq}/reaction`, { body: { reaction } });

/** @param {string} id @param {number} seq */
export const markRead = (id, seq) => call('POST', `${chat(id)}/read`, { body: { seq } });

/** @param {string} id */
export const sayTyping = (id) => call('POST', `${chat(id)}/typing`, { body: {} });

/** @param {string} words @param {AbortSignal} signal @returns {Promise<Page<Hit>>} */
export const searchMessages = async (words, signal) =>
  /** @type {Page<Hit>} */ (await call('GET', `/v1/search/messages?q=${part(words)}`, { signal }));

/** @param {string} words The beginning of a name or mail address. @param {AbortSignal} signal @returns {Promise<Person[]>} */
export const searchPeople = async (words, signal) =>
  /** @type {Page<Person>} */ (await call('GET', `/v1/users?$search=${part(words)}`, { signal })).value;

/** @param {string | null} cursor @param {number} wait Seconds. @param {AbortSignal} signal */
export const pollEvents = async (cursor, wait, signal) =>
  /** @type {import('./feed.js').PollPage} */ (
    await call('GET', `/v1/me/events?wait=${wait}${cursor === null ? '' : `&cursor=${part(cursor)}`}`, { signal })
  );

/**
 * The words of the chats page, in English.
 */

import { plural } from './format.js';

/** @import { Reaction } from '../protocol/chat-events.js' */

const people = new Intl.ListFormat('en', { type: 'conjunction' });

/** @type {Record<Reaction, { sign: string, name: string }>} */
const REACTIONS = {
  like: { sign: '👍', name: 'Like' },
  heart: { sign: '❤️', name: 'Heart' },
  laugh: { sign: '😆', name: 'Laugh' },
  surprised: { sign: '😮', name: 'Surprised' },
  sad: { sign: '😢', name: 'Sad' },
  angry: { sign: '😡', name: 'Angry' },
};

export const chats = {
  heading: 'Chats',
  /** @param {number} unread */
  title: (unread) => `${unread > 0 ? `(${unread}) ` : ''}Chats – Plenum`,
  toStart: 'Meetings',
  loading: 'Loading your chats…',
  failed: 'Your chats could not be loaded. Trying again…',
  signedOutHeading: 'You are not signed in',
  signedOutText: 'Chats are for people with an account here. Open your sign-in link, then come back.',
  none: 'No chats yet. Begin one with “New chat”.',
  pick: 'Choose a chat, or begin a new one.',
  more: 'Show more chats',
  connectionGone: 'The connection is gone. Coming back…',
  untitledMeeting: 'Meeting',
  untitledGroup: 'Group chat',
  /** @param {string} name */
  alone: (name) => `${name} (only you)`,
  nothingYet: 'No messages yet',
  /** @param {string} text */
  you: (text) => `You: ${text}`,
  /** @param {string} name @param {string} text */
  by: (name, text) => `${name}: ${text}`,
  /** @param {number} n */
  unread: (n) => plural(n, { one: '# unread message', other: '# unread messages' }),
  /** @param {number} n */
  manyUnread: (n) => (n > 99 ? '99+' : String(n)),
  /** @param {string} name @param {string} title */
  newIn: (name, title) => `New message from ${name} in ${title}`,

  search: {
    label: 'Search messages',
    clear: 'Clear the search',
    none: 'Nothing found.',
    failed: 'The search did not work. Try again in a moment.',
    /** @param {number} n @param {boolean} more */
    found: (n, more) => (more ? plural(n, { one: 'The newest message found', other: 'The newest # messages found' }) : plural(n, { one: '# message found', other: '# messages found' })),
    tooFar: 'That message lies too far back to be shown here.',
  },

  thread: {
    back: 'All chats',
    log: 'Messages',
    empty: 'No messages yet. Write the first one.',
    loading: 'Loading…',
    beginning: 'This is where the chat begins.',
    gone: 'This chat does not exist, or you are no longer in it.',
    join: 'Join the meeting',
    people: 'People in this chat',
    /** @param {number} n */
    count: (n) => plural(n, { one: '# person', other: '# people' }),
    newMessages: 'New',
    toEnd: 'To the newest message',
    deleted: 'This message was deleted.',
    edited: 'edited',
    /** @param {string} names */
    seenBy: (names) => `Seen by ${names}`,
    seen: 'Seen',
    sending: 'Sending…',
    waiting: 'Waiting for the connection…',
    notSent: 'Not sent.',
    discard: 'Discard',
    /** @param {string[]} names */
    typing: (names) => (names.length > 3 ? 'Several people are writing…' : `${people.format(names)} ${names.length === 1 ? 'is' : 'are'} writing…`),
    answered: 'Earlier message',
    /** @param {string} name */
    answers: (name) => `Answer to ${name}. Show it.`,
  },

  message: {
    /** @param {string} name @param {string} time */
    actions: (name, time) => `More for the message of ${name}, ${time}`,
    /** @param {string} time */
    ownActions: (time) => `More for your message, ${time}`,
    menu: 'Message',
    reply: 'Reply',
    edit: 'Edit',
    copy: 'Copy text',
    remove: 'Delete',
    removeHeading: 'Delete this message?',
    removeText: 'It is taken away for everybody, and cannot be brought back.',
    reactions: REACTIONS,
    /** @param {Reaction} reaction @param {string[]} names @param {boolean} mine */
    reacted: (reaction, names, mine) => `${REACTIONS[reaction].name}: ${people.format(names)}${mine ? '. Press to take yours back.' : ''}`,
    someone: 'Somebody',
    you: 'you',
  },

  composer: {
    message: 'Message',
    placeholder: 'Write a message',
    send: 'Send',
    save: 'Save',
    cancel: 'Cancel',
    editing: 'Editing your message',
    /** @param {string} name */
    replying: (name) => `Reply to ${name}`,
    replyingSelf: 'Reply to yourself',
    mention: 'People to mention',
    tooLong: 'This is too long for one message. Send it in parts.',
  },

  picker: {
    label: 'Name or mail address',
    results: 'People found',
    chosen: 'Chosen',
    /** @param {string} name */
    takeOut: (name) => `Take ${name} out`,
    none: 'Nobody found.',
    /** @param {number} n */
    found: (n) => plural(n, { one: '# person found', other: '# people found' }),
    failed: 'The search did not work. Try again in a moment.',
  },

  create: {
    open: 'New chat',
    heading: 'New chat',
    topic: 'Topic of the group (optional)',
    start: 'Start chat',
    nobody: 'Choose at least one person.',
  },

  members: {
    heading: 'People in this chat',
    list: 'People',
    owner: 'Owner',
    /** @param {string} name */
    you: (name) => `${name} (you)`,
    /** @param {string} name */
    remove: (name) => `Take ${name} out of this chat`,
    add: 'Add people',
    addConfirm: 'Add',
    history: 'They may read what was written before',
    topic: 'Topic',
    rename: 'Rename',
    leave: 'Leave this chat',
    leaveHeading: 'Leave this chat?',
    leaveText: 'You no longer get its messages. Somebody in it can add you again.',
    leaveConfirm: 'Leave',
    done: 'Done',
  },

  lines: {
    /** @param {string} by */
    created: (by) => `${by} began the chat.`,
    /** @param {string} by @param {string[]} names */
    added: (by, names) => `${by} added ${people.format(names)}.`,
    /** @param {string} by @param {string} name */
    removed: (by, name) => `${by} took ${name} out.`,
    /** @param {string} name */
    left: (name) => `${name} left the chat.`,
    /** @param {string} by @param {string} topic */
    topic: (by, topic) => (topic === '' ? `${by} took the topic away.` : `${by} called it “${topic}”.`),
  },
};

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutAtMentions, mentionAt, mentionedIn, offered } from '../js/state/mentions.js';

const ADA = { userId: 'usr_ada', displayName: 'Ada' };
const LOVELACE = { userId: 'usr_love', displayName: 'Ada Lovelace' };
const BOB = { userId: 'usr_bob', displayName: 'Bob' };
const ids = (people) => people.map(({ userId }) => userId);

test('a mention begins with @ at the start or after a space, and ends at the caret', () => {
  assert.deepEqual(mentionAt('@', 1), { start: 0, query: '' });
  assert.deepEqual(mentionAt('hello @Ad', 9), { start: 6, query: 'Ad' });
  assert.deepEqual(mentionAt('(@Ada Lo', 8), { start: 1, query: 'Ada Lo' });
  assert.equal(mentionAt('mail me at ada@example', 22), null);
  assert.equal(mentionAt('@Ada, have a look', 17), null);
  assert.deepEqual(mentionAt('@Ad and more', 3), { start: 0, query: 'Ad' });
});

test('offered are others whose name, or a word of it, begins so', () => {
  const members = [ADA, LOVELACE, BOB].map((person) => ({ ...person, role: 'member', lastReadSeq: 0 }));
  assert.deepEqual(ids(offered(members, 'lov', BOB.userId)), [LOVELACE.userId]);
  assert.deepEqual(ids(offered(members, 'ADA', ADA.userId)), [LOVELACE.userId]);
  assert.deepEqual(ids(offered(members, '', ADA.userId)), [LOVELACE.userId, BOB.userId]);
});

test('only names that still stand in the text are mentioned, each person once', () => {
  assert.deepEqual(mentionedIn('@Ada and @Ada', [ADA, ADA, BOB]), [ADA]);
});

test('a text is cut at names, the longest first, and nothing of it is lost', () => {
  assert.deepEqual(cutAtMentions('@Ada Lovelace meets @Ada!', [ADA, LOVELACE]), [LOVELACE, ' meets ', ADA, '!']);
  assert.deepEqual(cutAtMentions('nobody', []), ['nobody']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INITIAL } from '../js/state/meeting.js';
import { isOwnMuted, othersOnStage, speakingParticipants } from '../js/state/select.js';
import { after, camera, joined, message, person, says, slot, welcome } from './kit/state.js';

const roster = (more) => says({ type: 'roster', joined: [], changed: [], left: [], ...more });

test('a welcome gives the whole state', () => {
  const state = joined();
  assert.equal(state.self, 'me');
  assert.equal(state.everOpen, true);
  assert.deepEqual([...state.participants.keys()], ['me', 'b', 'c']);
  assert.equal(state.publications.get(2)?.participantId, 'c');
});

test('after a reconnection everybody keeps their place, newcomers come last', () => {
  const state = after(joined(), says(welcome({ roster: [person('x'), person('c'), person('me'), person('b')] })));
  assert.deepEqual([...state.participants.keys()], ['me', 'b', 'c', 'x']);
});

test('who joins and leaves is announced, oneself is not', () => {
  const start = joined();
  const came = after(start, roster({ joined: [person('d')] }));
  assert.deepEqual(came.announcement?.content, { code: 'joined', name: 'D' });
  const left = after(came, roster({ left: ['d'] }));
  assert.deepEqual(left.announcement?.content, { code: 'left', name: 'D' });
  assert.equal(after(start, roster({ joined: [person('me')] })).announcement, null);
});

test('the recorder is in the roster and not on the stage', () => {
  const state = after(joined(), roster({ joined: [person('rec', { kind: 'recorder' })] }));
  assert.ok(state.participants.has('rec'));
  assert.deepEqual(othersOnStage(state).map(({ id }) => id), ['b', 'c']);
});

test('publications come and go', () => {
  const state = after(joined(), says({ type: 'publications', added: [camera(3, 'd')], removed: [1] }));
  assert.deepEqual([...state.publications.keys()].sort(), [2, 3]);
});

test('only the slots that a message lists change, and an emptied slot shows nobody', () => {
  const state = after(
    joined(),
    says({ type: 'slots', slots: [slot('5', 'b', 1), slot('6', 'c', 2)] }),
    { type: 'shown', mid: '5', publicationId: 1 },
    { type: 'shown', mid: '6', publicationId: 2 },
    says({ type: 'slots', slots: [slot('6')] }),
  );
  assert.equal(state.slots.get('5')?.participantId, 'b');
  assert.deepEqual([...state.shown], [['5', 1]]);
});

test('a new transport forgets what the old one showed', () => {
  const state = after(
    joined(),
    says({ type: 'slots', slots: [slot('5', 'b', 1)] }),
    { type: 'shown', mid: '5', publicationId: 1 },
    { type: 'offered', slots: [{ mid: '5', kind: 'video' }] },
  );
  assert.equal(state.slots.size, 0);
  assert.equal(state.shown.size, 0);
});

test('the mute button follows what the server acknowledged', () => {
  const live = after(joined(), { type: 'capture', kind: 'microphone', capture: 'live' });
  assert.equal(isOwnMuted(live, 'microphone'), false);
  const wished = after(live, { type: 'wanted', kind: 'microphone', wanted: false });
  assert.equal(isOwnMuted(wished, 'microphone'), false, 'not before the acknowledgement');
  assert.equal(isOwnMuted(after(wished, { type: 'muteAcknowledged', kind: 'microphone', muted: true }), 'microphone'), true);
});

test('without a connection the mute button follows the wish', () => {
  const gone = after(
    joined(),
    { type: 'capture', kind: 'microphone', capture: 'live' },
    { type: 'link', link: { phase: 'waiting', attempt: 1, transport: 'socket' } },
    { type: 'wanted', kind: 'microphone', wanted: false },
  );
  assert.equal(isOwnMuted(gone, 'microphone'), true);
});

test('without a device one is muted, whatever the roster says', () => {
  assert.equal(isOwnMuted(joined(), 'camera'), true);
});

test('being muted by somebody is told with their name, and becomes the wish', () => {
  const state = after(joined(), says({ type: 'muted', kind: 'microphone', by: 'b' }));
  assert.equal(state.participants.get('me')?.microphoneMuted, true);
  assert.equal(state.wanted.microphone, false);
  assert.deepEqual({ ...state.notices.at(-1), id: 0 }, { code: 'mutedBy', name: 'B', id: 0 });
});

test('at most three notices wait, the newest ones', () => {
  const state = after(joined(), ...Array.from({ length: 5 }, (_, n) => ({ type: 'notice', notice: { code: 'refused', message: `${n}` } })));
  assert.deepEqual(state.notices.map((notice) => notice.message), ['2', '3', '4']);
});

test('that the server is at its capacity is said once, however often it is tried', () => {
  const busy = { type: 'notice', notice: { code: 'busy' } };
  const state = after(joined(), busy, { type: 'notice', notice: { code: 'refused', message: 'no' } }, busy, busy);
  assert.deepEqual(state.notices.map(({ code }) => code), ['refused', 'busy']);
});

test('the first ending stays', () => {
  const state = after(joined(), { type: 'ended', ending: 'left' }, { type: 'ended', ending: 'removed' });
  assert.equal(state.ending, 'left');
});

test('a message is announced only while the chat is closed', () => {
  const closed = after(joined(), says({ type: 'event', event: message(1) }));
  assert.deepEqual(closed.announcement?.content, { code: 'message', name: 'B', text: 'm1' });
  const opened = after(joined(), { type: 'panel', panel: 'chat' }, says({ type: 'event', event: message(1) }));
  assert.equal(opened.announcement, null);
  assert.equal(opened.thread.readUpTo, 1);
});

test('speaking is read from audio slots, and from the active speaker who has none', () => {
  const state = after(
    joined({ publications: [{ id: 7, participantId: 'b', kind: 'microphone' }] }),
    says({ type: 'slots', slots: [slot('2', 'b', 7)] }),
    says({ type: 'speaker', participantId: 'c' }),
  );
  assert.deepEqual([...speakingParticipants(state, new Set([7]))], ['b', 'c']);
  const silent = after(state, says({ type: 'speaker', participantId: 'b' }));
  assert.deepEqual([...speakingParticipants(silent, new Set())], [], 'b has a slot, and it is silent');
  const muted = after(state, roster({ changed: [person('c', { microphoneMuted: true })] }));
  assert.deepEqual([...speakingParticipants(muted, new Set([7]))], ['b']);
});

test('the initial state is never changed', () => {
  const before = structuredClone(INITIAL);
  joined();
  assert.deepEqual(INITIAL, before);
});

/** Lobby, rights, hands and signs: what the page makes of what the server says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INITIAL, reduce } from '../js/state/meeting.js';
import { may } from '../js/state/order.js';
import { Connection } from '../js/protocol/connection.js';
import { MuteKeeper } from '../js/app/mutes.js';
import { Store } from '../js/state/store.js';
import { FakeClock, FakeNetwork, settled } from './kit/fakes.js';
import { after, person, says, welcome } from './kit/state.js';

const roster = (rosterSeq, more = {}) => says({ type: 'roster', rosterSeq, joined: [], changed: [], left: [], ...more });
const waits = (id, more = {}) => ({ id, displayName: id.toUpperCase(), verified: false, reason: 'policy', ...more });
const waiting = (added, removed = [], all = false) => says({ type: 'waiting', all, added, removed });
const ids = (state) => [...state.order.waiting.keys()];

test('who waits knows why and nothing else, and the welcome ends it', () => {
  const state = after(INITIAL, says({ type: 'lobby', state: 'waiting', reason: 'notStarted' }));
  assert.equal(state.order.lobby, 'notStarted');
  assert.deepEqual([state.participants.size, state.everOpen, state.order.may], [0, false, []]);
  const locked = after(state, says({ type: 'lobby', state: 'waiting', reason: 'locked' }));
  assert.equal(locked.order.lobby, 'locked');
  const inside = after(locked, says(welcome()));
  assert.deepEqual([inside.order.lobby, inside.participants.size], [null, 3]);
});

test('the list of those who wait follows its diffs, and a whole list takes its place', () => {
  const listed = after(INITIAL, says(welcome()), waiting([waits('x'), waits('y')]), waiting([waits('z'), waits('x', { reason: 'locked' })], ['y']));
  assert.deepEqual(ids(listed), ['x', 'z']);
  assert.equal(listed.order.waiting.get('x').reason, 'locked');
  assert.deepEqual(ids(after(listed, waiting([waits('w')], [], true))), ['w']);
  assert.deepEqual(ids(after(listed, says(welcome()))), [], 'a new welcome is followed by a new list');
});

test('who comes into the lobby is said once, and not those of before', () => {
  const state = after(INITIAL, says(welcome()), waiting([waits('old')], [], true));
  assert.equal(state.announcement, null);
  const next = after(state, waiting([waits('new')]));
  assert.deepEqual(next.announcement.content, { code: 'waits', name: 'NEW' });
});

test('a roster message that is missing is noticed, and a welcome mends it', () => {
  const state = after(INITIAL, says(welcome({ rosterSeq: 4 })), roster(5), roster(6));
  assert.deepEqual([state.order.rosterSeq, state.order.gap], [6, false]);
  const broken = after(state, roster(8), roster(9));
  assert.equal(broken.order.gap, true);
  assert.equal(after(broken, says(welcome({ rosterSeq: 9 }))).order.gap, false);
});

test('rights are what the server names, and what is lost is not taken up again by itself', () => {
  const state = after(INITIAL, says(welcome()));
  assert.ok(may(state, 'share') && state.wanted.microphone);
  const demoted = after(state, says({ type: 'rights', role: 'attendee', may: ['camera', 'chat'] }));
  assert.deepEqual([demoted.role, may(demoted, 'share'), demoted.wanted.microphone, demoted.wanted.camera], ['attendee', false, false, true]);
  const restored = after(demoted, says({ type: 'rights', role: 'presenter', may: ['microphone', 'camera', 'share'] }));
  assert.equal(restored.wanted.microphone, false, 'the person unmutes themselves');
});

test('the reason of a mute and of an ended share is told as it is', () => {
  const state = after(INITIAL, says(welcome()));
  const codes = (...messages) => after(state, ...messages.map(says)).notices.map(({ code }) => code);
  assert.deepEqual(codes({ type: 'muted', kind: 'microphone', by: 'b' }), ['mutedBy']);
  assert.deepEqual(codes({ type: 'rights', role: 'attendee', may: [] }, { type: 'muted', kind: 'microphone', by: null }), ['hardMuted']);
  assert.deepEqual(codes({ type: 'muted', kind: 'screen', by: 'b' }), ['shareTaken']);
  assert.deepEqual(codes({ type: 'rights', role: 'attendee', may: [] }, { type: 'muted', kind: 'screen', by: 'b' }), ['shareEnded']);
});

test('a raised hand is announced once', () => {
  const state = after(INITIAL, says(welcome()));
  const raised = after(state, roster(1, { changed: [person('b', { hand: 1 })] }));
  assert.deepEqual(raised.announcement.content, { code: 'raised', name: 'B' });
  const again = after(raised, roster(2, { changed: [person('b', { hand: 1, cameraMuted: true })] }));
  assert.equal(again.announcement, raised.announcement);
  const own = after(state, roster(1, { changed: [person('me', { hand: 1 })] }));
  assert.equal(own.announcement, null);
});

test('signs stand until they have been seen, and no more than eight', () => {
  const react = (...who) => says({ type: 'reactions', reactions: who.map((participantId) => ({ participantId, reaction: 'like' })) });
  const state = after(INITIAL, says(welcome()), react('b', 'c'), react('b'));
  assert.deepEqual(state.order.signs.map(({ id, participantId }) => [id, participantId]), [[1, 'b'], [2, 'c'], [3, 'b']]);
  assert.deepEqual(after(state, { type: 'signsSeen', upto: 2 }).order.signs.map(({ id }) => id), [3]);
  assert.equal(after(state, react(...'0123456789')).order.signs.length, 8);
});

/** A connection with carriers by hand. */
function setup() {
  const clock = new FakeClock();
  const network = new FakeNetwork();
  const seen = { links: [], ended: [] };
  const connection = new Connection(
    { openSocket: network.open('socket'), openPoll: network.open('poll'), setTimer: clock.setTimer, clearTimer: clock.clearTimer, now: clock.now, random: () => 0.5 },
    { cursor: () => 0, receive: () => {}, link: (link) => seen.links.push(link), ended: (reason) => seen.ended.push(reason) },
  );
  connection.start('token');
  return { clock, network, connection, seen };
}
const LOBBY = { type: 'lobby', state: 'waiting', reason: 'policy' };

test('a connection that waits in the lobby is neither given up nor open', async () => {
  const { clock, network, connection, seen } = setup();
  network.last.events.opened();
  await settled();
  network.last.events.received(LOBBY);
  assert.equal(seen.links.at(-1).phase, 'lobby');
  for (let minute = 0; minute < 30; minute += 1) {
    clock.advance(9_000);
    network.last.events.received({ type: 'ping' });
  }
  assert.deepEqual([network.carriers.length, connection.isOpen], [1, false]);
  await assert.rejects(connection.request((id) => ({ type: 'admitAll', id })), /not_connected/);
  const left = connection.request((id) => ({ type: 'leave', id }), { early: true });
  const { id } = network.last.sent.at(-1);
  network.last.events.received({ type: 'ack', id });
  await left;
  network.last.events.received(welcome());
  assert.ok(connection.isOpen);
});

test('a connection that is lost in the lobby is a lost one, and comes back over a socket', async () => {
  const { clock, network } = setup();
  for (let round = 1; round <= 4; round += 1) {
    assert.deepEqual([network.carriers.length, network.last.kind], [round, 'socket']);
    network.last.events.opened();
    await settled();
    network.last.events.received(LOBBY);
    network.last.events.ended(1006);
    while (network.carriers.length === round) clock.advance(250);
  }
});

test('who is not let in does not come back by themselves', async () => {
  for (const end of [(events) => events.received({ type: 'removed', reason: 'denied' }), (events) => events.ended(4008)]) {
    const { clock, network, seen } = setup();
    network.last.events.opened();
    await settled();
    network.last.events.received(LOBBY);
    end(network.last.events);
    clock.advance(60_000);
    assert.deepEqual([network.carriers.length, seen.ended], [1, ['denied']]);
  }
});

test('what the server would refuse is not asked for again and again', () => {
  const store = new Store(reduce, { ...INITIAL, self: 'me' });
  const asked = [];
  const keeper = new MuteKeeper(store, { isOpen: true, request: (build) => (asked.push(build(1)), new Promise(() => {})) });
  const barred = welcome({ may: ['camera'], roster: [person('me', { microphoneMuted: true })] });
  store.dispatch(says(barred));
  store.dispatch({ type: 'capture', kind: 'microphone', capture: 'live' });
  store.dispatch({ type: 'wanted', kind: 'microphone', wanted: true });
  for (let round = 0; round < 5; round += 1) keeper.reconcileAll();
  assert.deepEqual(asked.filter(({ kind }) => kind === 'microphone'), []);
});

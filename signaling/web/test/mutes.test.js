import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MuteKeeper } from '../js/app/mutes.js';
import { reduce } from '../js/state/meeting.js';
import { settled } from './kit/fakes.js';
import { after, joined, person } from './kit/state.js';

function keeper(state) {
  const store = {
    state,
    dispatch(action) {
      store.state = reduce(store.state, action);
    },
  };
  const requests = [];
  const connection = {
    isOpen: true,
    request: (build) =>
      new Promise((resolve, reject) => {
        requests.push({ message: build(requests.length + 1), resolve, reject });
      }),
  };
  return { store, requests, connection, mutes: new MuteKeeper(store, connection) };
}

const live = (...kinds) => kinds.map((kind) => ({ type: 'capture', kind, capture: 'live' }));
const wish = (kind, wanted) => ({ type: 'wanted', kind, wanted });

test('nothing is told while wish and server agree', () => {
  const { mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  mutes.reconcileAll();
  assert.deepEqual(requests, []);
});

test('a wish is told and acknowledged', async () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  store.dispatch(wish('microphone', false));
  mutes.reconcile('microphone');
  assert.deepEqual(requests[0].message, { type: 'mute', id: 1, kind: 'microphone', muted: true });
  assert.equal(store.state.participants.get('me').microphoneMuted, false);
  requests[0].resolve();
  await settled();
  assert.equal(store.state.participants.get('me').microphoneMuted, true);
  assert.equal(requests.length, 1);
});

test('a wish that changes while one is under way is told after it', async () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  for (const wanted of [false, true, false, true]) {
    store.dispatch(wish('microphone', wanted));
    mutes.reconcile('microphone');
  }
  assert.equal(requests.length, 1);
  requests[0].resolve();
  await settled();
  assert.deepEqual(requests.map(({ message }) => message.muted), [true, false]);
});

test('while the browser asks for a device nothing is told; afterwards its absence is', () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone'), { type: 'capture', kind: 'camera', capture: 'asking' }));
  mutes.reconcileAll();
  assert.deepEqual(requests, []);
  store.dispatch({ type: 'capture', kind: 'camera', capture: 'none' });
  mutes.reconcileAll();
  assert.deepEqual(requests.map(({ message }) => [message.kind, message.muted]), [['camera', true]]);
});

test('a refusal does not spin', async () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  store.dispatch(wish('camera', false));
  mutes.reconcile('camera');
  requests[0].reject(new Error('timeout'));
  await settled();
  assert.equal(requests.length, 1);
  mutes.reconcile('camera');
  assert.equal(requests.length, 2);
});

test('who was muted by another can unmute', async () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  store.dispatch({ type: 'server', message: { type: 'muted', kind: 'microphone', by: 'b' } });
  mutes.mutedByServer('microphone');
  mutes.reconcile('microphone');
  assert.deepEqual(requests, []);
  store.dispatch(wish('microphone', true));
  mutes.reconcile('microphone');
  assert.equal(requests[0].message.muted, false);
});

test('a roster that says we were muted, before the message that says by whom, is not answered with an unmute', () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  mutes.reconcileAll();
  store.dispatch({ type: 'server', message: { type: 'roster', joined: [], changed: [person('me', { microphoneMuted: true })], left: [] } });
  mutes.reconcileAll();
  assert.deepEqual(requests, []);
});

test('a new connection that knows nothing of a mute is told again', () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera'), wish('microphone', false)));
  mutes.mutedByServer('microphone');
  mutes.reset();
  mutes.reconcile('microphone');
  assert.equal(requests[0].message.muted, true);
  assert.equal(store.state.wanted.microphone, false);
});

test('sound alone mutes the camera, whatever is wished, and gives it back', async () => {
  const { store, mutes, requests } = keeper(after(joined(), ...live('microphone', 'camera')));
  for (const choice of ['on', 'auto']) {
    store.dispatch({ type: 'audioOnly', choice });
    mutes.reconcileAll();
    requests.at(-1).resolve();
    await settled();
  }
  assert.deepEqual(requests.map(({ message }) => [message.kind, message.muted]), [['camera', true], ['camera', false]]);
  assert.equal(store.state.wanted.camera, true);
});

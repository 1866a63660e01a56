/** What the server is told of pictures, and how often. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Wishes } from '../js/app/wishes.js';
import { after, joined } from './kit/state.js';

function made(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const sent = [];
  const at = { state: joined() };
  const connection = { isOpen: true, send: (message) => sent.push(message) };
  return { at, sent, connection, wishes: new Wishes(() => at.state, connection), pass: () => t.mock.timers.tick(250) };
}
const wish = { wants: [{ participantId: 'b', kind: 'camera', priority: 1, width: 640, height: 360 }], fill: true };

test('a layout is told once it is quiet, and only when it is another', (t) => {
  const { wishes, sent, pass } = made(t);
  wishes.look({ ...wish, fill: false });
  wishes.look(wish);
  pass();
  wishes.look({ ...wish });
  pass();
  assert.deepEqual(sent, [{ type: 'layout', ...wish }]);
  wishes.reset();
  wishes.tell();
  pass();
  assert.equal(sent.length, 2, 'anew on each connection');
});

test('with sound alone nothing is in sight, and afterwards what was', (t) => {
  const { at, wishes, sent, pass } = made(t);
  wishes.look(wish);
  pass();
  for (const choice of ['on', 'auto']) {
    at.state = after(at.state, { type: 'audioOnly', choice });
    wishes.tell();
    pass();
  }
  assert.deepEqual(sent.slice(1), [{ type: 'layout', wants: [], fill: false }, { type: 'layout', ...wish }]);
});

test('what holds the own camera back is told when it changes, and not into a closed connection', (t) => {
  const { wishes, sent, connection } = made(t);
  for (const heldBack of ['none', 'none', 'network', 'network']) wishes.heldBack(heldBack);
  connection.isOpen = false;
  wishes.heldBack('none');
  connection.isOpen = true;
  wishes.heldBack('none');
  assert.deepEqual(sent.map(({ heldBack }) => heldBack), ['none', 'network', 'none']);
});

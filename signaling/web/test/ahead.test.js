import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { SocketAhead } from '../js/protocol/ahead.js';

const [CONNECTING, OPEN, CLOSING] = [0, 1, 2];

let now;
let sockets;
let ahead;

beforeEach(() => {
  now = 0;
  sockets = [];
  const open = () => {
    const socket = { readyState: CONNECTING, close: () => (socket.readyState = CLOSING) };
    sockets.push(socket);
    return socket;
  };
  ahead = new SocketAhead(open, () => now);
});

test('one connection is prepared, however often somebody stirs, and whoever joins gets it', () => {
  ahead.prepare();
  sockets[0].readyState = OPEN;
  now = 60_000;
  ahead.prepare();
  assert.equal(ahead.take(), sockets[0]);
  assert.equal(sockets.length, 1);
});

test('what the server let go of is opened again when somebody stirs', () => {
  ahead.prepare();
  sockets[0].readyState = CLOSING;
  now = 10_000;
  ahead.prepare();
  assert.equal(ahead.take(), sockets[1]);
});

test('where connections are refused, stirring makes no storm, and the click still tries', () => {
  for (now = 0; now < 10_000; now += 10) {
    ahead.prepare();
    sockets.at(-1).readyState = CLOSING;
  }
  assert.equal(sockets.length, 2);
  assert.equal(ahead.take(), sockets[2]);
});

test('what nobody took is closed, what was taken is not', () => {
  ahead.prepare();
  const taken = ahead.take();
  ahead.close();
  assert.equal(taken.readyState, CONNECTING);
  now = 10_000;
  ahead.prepare();
  ahead.close();
  assert.equal(sockets[1].readyState, CLOSING);
});

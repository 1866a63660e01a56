import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFeedMessage, subscribe } from '../js/protocol/feed-messages.js';
import * as messages from '../js/protocol/messages.js';
import { INITIAL, reduce } from '../js/state/meeting.js';
import { goldens } from './kit/golden.js';

const server = goldens('server');
/** A signed-in person's feed is another conversation, with a parser of its own. */
const FEED = ['server.subscribed', 'server.chatEvent', 'server.chatRead', 'server.typing', 'server.resync.cursor'];
const parse = (name, golden) => (FEED.includes(name) ? parseFeedMessage : messages.parseServerMessage)(golden);
const client = goldens('client');

test('there are golden files of both sides', () => {
  assert.ok(server.size >= 20, `${server.size}`);
  assert.ok(client.size >= 10, `${client.size}`);
});

test('every server message passes the parser unchanged', () => {
  for (const [name, golden] of server) assert.deepEqual(parse(name, golden), golden, name);
});

test('every server message can be reduced before and after a welcome', () => {
  const welcomed = reduce(INITIAL, { type: 'server', message: server.get('server.welcome') });
  for (const [name, message] of server) {
    if (FEED.includes(name)) continue;
    for (const state of [INITIAL, welcomed]) assert.ok(reduce(state, { type: 'server', message }), name);
  }
});

test('a server message without one of its fields is refused', () => {
  for (const [name, golden] of server) {
    for (const field of Object.keys(golden)) {
      if (field === 'seq' || field === 'troubleSince' || (field === 'id' && golden.type === 'error')) continue; // optional
      const { [field]: _, ...rest } = golden;
      assert.equal(parse(name, rest), null, `${name} without ${field}`);
    }
  }
});

test('unknown types, other values and broken text are refused, never thrown', () => {
  for (const value of [null, 7, 'x', [], {}, { type: 'toString' }, { type: '__proto__' }, { type: 'later' }]) {
    for (const parser of [messages.parseServerMessage, parseFeedMessage]) assert.equal(parser(value), null);
  }
  for (const frame of ['', '{', 'null', '{"type":"welcome"}', new ArrayBuffer(3)]) {
    assert.equal(messages.parseServerFrame(frame), null);
  }
  assert.deepEqual(messages.parseServerFrame('{"type":"pong"}'), { type: 'pong' });
});

test('an event of a chat without one of its fields is refused', () => {
  for (const [name, golden] of server) {
    if (golden.type !== 'event') continue;
    for (const field of Object.keys(golden.event)) {
      if (['visibleHistoryStartDateTime', 'html', 'mentions', 'role', 'until'].includes(field)) continue; // optional for a reader
      const { [field]: _, ...event } = golden.event;
      assert.equal(messages.parseServerMessage({ ...golden, event }), null, `${name} without ${field}`);
    }
  }
});

test('the feed begins from now on without a cursor, and by cookie without a token', () => {
  assert.deepEqual(subscribe(null), { type: 'subscribe' });
  assert.deepEqual(subscribe('e-1'), { type: 'subscribe', cursor: 'e-1' });
});

test('an event of a newer kind is kept for its place in the sequence', () => {
  const message = { type: 'event', event: { seq: 9, id: 'evt_9', time: '2026-11-24T13:35:20Z', kind: 'reaction', emoji: '+1' } };
  assert.deepEqual(messages.parseServerMessage(message), message);
});

const BUILT = {
  'client.hello': messages.hello('eyJ.eyJ.sig', 41),
  'client.offer': messages.offer(1, 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n', [
    { mid: '0', kind: 'microphone' },
    { mid: '1', kind: 'camera' },
    { mid: '2', kind: 'screen' },
    { mid: '3', kind: 'screenAudio' },
  ]),
  'client.subscribe': subscribe('5f3a9c0d1e2b4a68-1207', 'eyJhbGciOiJFZERTQSJ9.e30.c2ln'),
  'client.mute': messages.mute(2, 'microphone', true),
  'client.muteParticipant': messages.muteParticipant(3, 'par_0193a0000000700080000000000000b2'),
  'client.muteAll': messages.muteAll(12),
  'client.setRole': messages.setRole(13, 'par_0193a0000000700080000000000000b2', 'attendee'),
  'client.admit': messages.admit(14, 'par_0193a0000000700080000000000000b2'),
  'client.admitAll': messages.admitAll(15),
  'client.deny': messages.deny(16, 'par_0193a0000000700080000000000000b2'),
  'client.lock': messages.lock(17, true),
  'client.hand': messages.hand(18, false, 'par_0193a0000000700080000000000000b2'),
  'client.react': messages.react(19, 'applause'),
  'client.removeParticipant': messages.removeParticipant(4, 'par_0193a0000000700080000000000000b2'),
  'client.chat': messages.chat(5, 'c-1', 'Hello, wörld 👋'),
  'client.spotlight': messages.spotlight(9, 'par_0193a0000000700080000000000000b2'),
  'client.record': messages.record(6, 'start'),
  'client.recordingConsent': messages.recordingConsent(7, true),
  'client.leave': messages.leave(7),
  'client.layout': messages.layout({
    wants: [
      { participantId: 'par_0193a0000000700080000000000000b2', kind: 'screen', priority: 255, width: 1600, height: 912 },
      { participantId: 'par_0193a0000000700080000000000000b2', kind: 'camera', priority: 1, width: 640, height: 360 },
    ],
    fill: false,
    maxTiles: 9,
    maxBitrate: 1_500_000,
    mix: true,
  }),
  'client.uplink': messages.uplink('network'),
  'client.ping': messages.ping(),
  'client.pong': messages.pong(),
};

test('every client message is built exactly as its golden file', () => {
  for (const [name, golden] of client) assert.deepEqual(BUILT[name], golden, name);
});

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { goldenDir } from './env.mjs';
import { deviations } from './golden.mjs';

const load = (file) => JSON.parse(readFileSync(join(goldenDir, file), 'utf8'));

test('every golden file agrees with itself', () => {
  const files = readdirSync(goldenDir);
  assert.ok(files.length > 25);
  for (const file of files) assert.deepEqual(deviations(file.split('.')[0], load(file)), [], file);
});

test('a missing, an extra and a wrongly typed field are told apart', () => {
  const { clientMessageId: _, ...missing } = load('client.chat.json');
  assert.deepEqual(deviations('client', missing), ['client.chat.clientMessageId is missing']);
  assert.deepEqual(deviations('client', { ...load('client.ping.json'), x: 1 }), ['client.ping.x is not in the protocol']);
  assert.deepEqual(deviations('server', { type: 'ack', id: 'one' }), ['server.ack.id is a string, not a number']);
  assert.deepEqual(deviations('server', { type: 'gossip' }), ['server.gossip is not in the protocol']);
  const heard = load('server.chatEvent.json');
  const { event } = load('server.event.phoneCall.json');
  assert.deepEqual(deviations('server', { ...heard, event }), [], 'an event of any kind');
  assert.deepEqual(deviations('server', { ...heard, event: { ...event, callId: 7 } }), ['server.event.phoneCall.callId is a number, not a string']);
  assert.deepEqual(deviations('server', { ...heard, event: undefined }), ['server.chatEvent.event is missing']);
  const { id: __, ...nameless } = load('server.roster.json').joined[0];
  assert.deepEqual(deviations('server', { type: 'roster', rosterSeq: 1, joined: [], changed: [nameless], left: [] }), ['server.roster.changed.id is missing']);
});

/** What is made of the network's measures: grades that do not flicker, reasons in words, and the browser's own counters. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measured, readingOf } from '../js/media/measure.js';
import { NO_HEALTH, follow, gradeOfDownlink, isPaused, lookOf, pictureReason, reduceHealth, worse } from '../js/state/health.js';
import { INITIAL } from '../js/state/meeting.js';
import { en } from '../js/text/en.js';
import { after, joined, says } from './kit/state.js';

const down = (more = {}) => ({ target: 2_500_000, arriving: 900_000, lossPermille: 0, roundTrip: 80, queue: 0, limit: 'nothing', ...more });
const slot = (more = {}) => ({ mid: '5', publicationId: 1, layer: 2, wanted: 2, bitrate: 900_000, reason: 'wanted', ...more });
const told = (more = {}) => ({ type: 'health', down: down(), slots: [], up: [], ...more });

test('a downlink is graded by what is measured, and not at all before', () => {
  assert.equal(gradeOfDownlink(null, [], null), null);
  assert.equal(gradeOfDownlink(down(), [slot(), slot({ reason: 'source', layer: 0 })], null), 'good');
  assert.equal(gradeOfDownlink(down({ lossPermille: null }), [], null), 'good');
  for (const [grade, more] of [
    ['good', { lossPermille: 29 }],
    ['weak', { lossPermille: 30 }],
    ['poor', { lossPermille: 100 }],
    ['poor', { target: 149_000, limit: 'queue' }],
    ['good', { target: 149_000, limit: 'client' }],
    ['poor', { limit: 'silence' }],
  ]) {
    assert.equal(gradeOfDownlink(down(more), [slot()], null), grade, JSON.stringify(more));
  }
  assert.equal(gradeOfDownlink(down(), [slot(), slot({ reason: 'network', layer: 0 })], null), 'weak');
  assert.equal(gradeOfDownlink(down(), [slot({ reason: 'network', layer: null })], null), 'poor');
  assert.equal(gradeOfDownlink(down(), [], { roundTrip: 520 }), 'poor');
});

test('a grade gets worse after two looks, better after five, and never flickers', () => {
  const run = (...grades) => {
    let trend = NO_HEALTH.down;
    return grades.map((grade) => (trend = follow(trend, grade)).grade);
  };
  assert.deepEqual(run('good', 'good', 'weak', 'weak'), [null, 'good', 'good', 'weak']);
  assert.deepEqual(run('weak', 'weak', 'good', 'good', 'weak', 'good', 'good', 'good', 'good', 'good'), [
    null, 'weak', 'weak', 'weak', 'weak', 'weak', 'weak', 'weak', 'weak', 'good',
  ]);
  assert.deepEqual(run('good', 'good', 'poor', 'good', 'poor', 'good'), [null, 'good', 'good', 'good', 'good', 'good']);
  assert.deepEqual(run('good', 'good', null, null, null, null, null), [null, 'good', 'good', 'good', 'good', 'good', null]);
});

test('the worse of two grades counts, and what is not known does not', () => {
  assert.deepEqual([worse('good', 'poor'), worse('weak', 'good'), worse(null, 'weak'), worse('poor', undefined), worse(null, null)], ['poor', 'weak', 'weak', 'poor', null]);
});

test('the state keeps the newest of both views, and forgets them with the path', () => {
  const state = after(joined(), says(told()), says(told({ down: down({ target: 400_000 }) })), { type: 'measured', own: { roundTrip: 20 } });
  assert.equal(state.health.told.down.target, 400_000);
  assert.equal(state.health.own.roundTrip, 20);
  assert.deepEqual(after(state, { type: 'offered', slots: [] }).health, NO_HEALTH);
  assert.deepEqual(INITIAL.health, NO_HEALTH);
  assert.equal(reduceHealth(state.health, { own: null }).told, state.health.told);
});

test('each picture is explained in plain words', () => {
  const why = (more) => en.health.why(pictureReason(slot(more)), 612_000);
  assert.equal(why({ reason: 'network', layer: 0 }), 'smaller because your network carries 610 kbit/s');
  assert.equal(why({ reason: 'network', layer: null }), 'paused because your network carries only 610 kbit/s');
  assert.equal(why({ reason: 'source', layer: 0 }), 'as large as they send');
  assert.equal(why({ reason: 'wanted' }), 'as large as its tile needs');
  assert.equal(en.health.why('network', null), 'smaller because of your network');
  assert.equal(en.health.rate(2_540_000), '2.5 Mbit/s');
  assert.equal(en.health.repaired(52, 3), '5.2 %, 0.3 % after repair');
});

const pair = (timestamp, more = {}) => ({ type: 'candidate-pair', nominated: true, timestamp, bytesSent: 0, bytesReceived: 0, ...more });
const sent = (more) => ({ type: 'outbound-rtp', kind: 'video', active: true, framesPerSecond: 24, qualityLimitationReason: 'none', ...more });

test('the browser’s counters become rates, shares and sizes', () => {
  const before = readingOf([
    pair(10_000, { bytesSent: 1_000, bytesReceived: 50_000 }),
    { type: 'inbound-rtp', kind: 'audio', totalSamplesReceived: 48_000, concealedSamples: 900, silentConcealedSamples: 900 },
  ]);
  const now = readingOf([
    pair(12_000, { bytesSent: 251_000, bytesReceived: 50_500, currentRoundTripTime: 0.048, availableOutgoingBitrate: 700_000 }),
    { type: 'candidate-pair', nominated: false, timestamp: 1, bytesSent: 9 },
    { type: 'inbound-rtp', kind: 'audio', totalSamplesReceived: 144_000, concealedSamples: 2_820, silentConcealedSamples: 900 },
    sent({ frameWidth: 320, frameHeight: 180, qualityLimitationReason: 'bandwidth' }),
    sent({ frameWidth: 640, frameHeight: 360, qualityLimitationReason: 'bandwidth' }),
    sent({ frameWidth: 1_280, frameHeight: 720, active: false }),
    { type: 'inbound-rtp', kind: 'video', mid: '5', frameWidth: 320, frameHeight: 180, framesPerSecond: 23.7 },
    { type: 'inbound-rtp', kind: 'video', mid: '6', frameWidth: 320, frameHeight: 180, framesPerSecond: 0 },
  ]);
  const own = measured(now, before);
  assert.deepEqual([own.sending, own.receiving, own.roundTrip, own.carries], [1_000_000, 2_000, 48, 700_000]);
  assert.equal(own.madeUp, 0.02);
  assert.deepEqual([own.heldBack, own.picture], ['network', { width: 640, height: 360, frames: 24 }]);
  assert.deepEqual([...own.pictures], [['5', { width: 320, height: 180, frames: 24 }]]);
});

test('what the browser does not tell is not known', () => {
  const own = measured(readingOf([pair(10_000)]), null);
  const { pictures, ...rest } = own;
  assert.equal(pictures.size, 0);
  assert.deepEqual(Object.values(rest), Array(Object.keys(rest).length).fill(null));
  const restarted = measured(readingOf([pair(20_000, { bytesSent: 5 })]), readingOf([pair(18_000, { bytesSent: 9_000 })]));
  assert.equal(restarted.sending, null, 'counters that went back');
});

test('a picture that our network carries no more is said to be paused, a camera that is off is not', () => {
  const paused = after(joined(), says(told({ slots: [slot({ reason: 'network', layer: null })] })));
  const [b, c] = ['b', 'c'].map((id) => paused.participants.get(id));
  assert.deepEqual([isPaused(paused, b, 'camera'), isPaused(paused, c, 'camera')], [true, false]);
  assert.equal(isPaused(paused, { ...b, cameraMuted: true }, 'camera'), false);
  assert.equal(isPaused(paused, b, 'screen'), false, 'another picture of theirs');
  assert.equal(isPaused(joined(), b, 'camera'), false);
});

test('what is looked at says only what it can know', () => {
  const state = after(joined(), says(told()), { type: 'measured', own: { carries: 90_000, pictures: new Map() } });
  assert.deepEqual(lookOf(state), { down: 2_500_000, up: null, hasPictures: true }, 'no camera of our own');
  const sending = after(state, { type: 'capture', kind: 'camera', capture: 'live' });
  assert.equal(lookOf(sending).up, 90_000);
  assert.equal(lookOf(after(sending, { type: 'audioOnly', choice: 'on' })).up, null, 'a voice alone says nothing of it');
  assert.equal(lookOf(after(sending, says(told({ down: down({ limit: 'client' }) })))).down, null);
});

test('the server’s looks stop the pictures and bring them back', () => {
  const narrow = says(told({ down: down({ target: 90_000, limit: 'queue' }) }));
  const stopped = after(joined(), narrow, narrow, narrow);
  assert.deepEqual([stopped.audioOnly.active, stopped.audioOnly.why], [true, 'down']);
  assert.equal(after(stopped, says(told()), says(told()), says(told())).audioOnly.active, false);
});

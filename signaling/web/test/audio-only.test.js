/** When pictures stop and when they come back. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WITH_PICTURES, chooseAudioOnly, stepAudioOnly } from '../js/state/audio-only.js';

const look = (down, up = null, hasPictures = true) => ({ down, up, hasPictures });
const run = (from, ...looks) => looks.reduce(stepAudioOnly, from);
const times = (n, value) => Array(n).fill(value);
const stopped = run(WITH_PICTURES, ...times(3, look(90_000)));

test('three looks at a path that is too narrow stop the pictures, fewer do not', () => {
  assert.equal(run(WITH_PICTURES, look(90_000), look(90_000)).active, false);
  assert.deepEqual([stopped.active, stopped.why], [true, 'down']);
  assert.equal(run(WITH_PICTURES, look(90_000), look(90_000), look(160_000), look(90_000)).active, false);
  assert.equal(run(WITH_PICTURES, ...times(9, look(null))).active, false, 'what is not known stops nothing');
  assert.equal(run(WITH_PICTURES, ...times(9, look(90_000, null, false))).active, false, 'there is nothing to stop');
});

test('pictures come back after three looks at twice the room', () => {
  assert.equal(run(stopped, ...times(20, look(290_000))).active, true);
  assert.equal(run(stopped, look(400_000), look(400_000)).active, true);
  assert.equal(run(stopped, look(400_000), look(400_000), look(200_000), look(400_000), look(400_000)).active, true);
  const back = run(stopped, ...times(3, look(400_000)));
  assert.deepEqual([back.active, back.why], [false, null]);
});

test('a return that was wrong makes the next one wait longer, one that held does not', () => {
  let now = stopped;
  for (const patience of [3, 6, 12, 24, 30, 30]) {
    assert.equal(run(now, ...times(patience - 1, look(400_000))).active, true, String(patience));
    now = run(now, ...times(patience, look(400_000)));
    assert.equal(now.active, false, String(patience));
    now = run(now, ...times(3, look(90_000)));
    assert.equal(now.active, true);
  }
  now = run(now, ...times(30, look(400_000)), ...times(40, look(400_000)), ...times(3, look(90_000)));
  assert.equal(run(now, ...times(3, look(400_000))).active, false);
});

test('an uplink that is too narrow is tried now and then, unseen, and less often each time', () => {
  let now = run(WITH_PICTURES, ...times(3, look(2_000_000, 80_000)));
  assert.deepEqual([now.active, now.why, now.trial], [true, 'up', false]);
  for (const pause of [10, 20, 40, 80, 150, 150]) {
    now = run(now, ...times(pause - 1, look(2_000_000)));
    assert.deepEqual([now.active, now.trial], [true, false], String(pause));
    now = run(now, look(2_000_000));
    assert.deepEqual([now.active, now.trial], [true, true], 'the others see nothing yet');
    assert.equal(run(now, ...times(9, look(2_000_000, 90_000))).trial, true);
    now = run(now, ...times(10, look(2_000_000, 90_000)));
    assert.deepEqual([now.active, now.trial], [true, false]);
  }
  now = run(now, ...times(150, look(2_000_000)), look(2_000_000, 260_000), look(2_000_000, 260_000));
  assert.equal(now.active, false);
  now = run(now, ...times(8, look(2_000_000, 120_000)));
  assert.equal(now.active, false, 'an estimate that begins low is given time');
  assert.equal(run(now, ...times(3, look(2_000_000, 120_000))).active, true);
});

test('the person decides: sound alone until they say otherwise, or pictures until the network has recovered', () => {
  const sound = chooseAudioOnly(WITH_PICTURES, 'on');
  assert.deepEqual([sound.active, sound.why], [true, 'person']);
  assert.equal(run(sound, ...times(50, look(5_000_000, 5_000_000))).active, true);
  assert.equal(chooseAudioOnly(sound, 'auto').active, false);
  const anyway = chooseAudioOnly(stopped, 'off');
  assert.equal(run(anyway, ...times(50, look(90_000))).active, false);
  const upAnyway = chooseAudioOnly(run(WITH_PICTURES, ...times(3, look(2_000_000, 80_000))), 'off');
  assert.equal(run(upAnyway, ...times(50, look(2_000_000, 80_000))).active, false);
  const recovered = run(anyway, ...times(3, look(400_000)));
  assert.equal(recovered.choice, 'auto');
  assert.equal(run(recovered, ...times(3, look(90_000))).active, true, 'the next time counts again');
});

/** The bell of a call: what it sounds like, and that it begins and ends with the call. */

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { createBell, strokes } from '../js/media/bell.js';

const RATE = 48_000;
/** The loudest sample from one second to another. */
const peak = (samples, from, to) => samples.subarray(from * RATE, to * RATE).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

test('a round has two pairs of notes and a pause, and neither clicks nor is too loud', () => {
  const round = strokes(RATE);
  assert.equal(round.length, 3 * RATE);
  for (const at of [0, 0.28, 0.9, 1.18]) assert.ok(peak(round, at, at + 0.1) > 0.3, `a note at ${at}`);
  assert.ok(peak(round, 2.5, 3) < 0.01, 'a pause');
  assert.ok(peak(round, 0, 3) <= 1);
  const step = round.reduce((most, sample, n) => Math.max(most, Math.abs(sample - (round[n - 1] ?? round.at(-1)))), 0);
  assert.ok(step < 0.1, `${step}: also from the end to the beginning`);
});

/** A browser's sound, as far as a bell needs it. */
function sound({ isThere = true } = {}) {
  const happened = [];
  const node = (name) => class {
    constructor(_context, options) {
      happened.push([name, options.loop ?? options.gain]);
    }
    connect = (next) => next;
    start = () => happened.push('start');
  };
  globalThis.AudioContext = class {
    sampleRate = RATE;
    destination = {};
    constructor() {
      if (!isThere) throw new Error('no sound');
    }
    createBuffer = () => ({ copyToChannel: (samples) => happened.push(['samples', samples.length]) });
    close = async () => happened.push('close');
  };
  globalThis.AudioBufferSourceNode = node('loop');
  globalThis.GainNode = node('gain');
  return happened;
}

afterEach(() => {
  for (const name of ['AudioContext', 'AudioBufferSourceNode', 'GainNode']) delete globalThis[name];
});

test('it rings once for as many calls as there are, and is silent when none rings any more', () => {
  const happened = sound();
  const bell = createBell(0.3);
  bell(false);
  assert.deepEqual(happened, []);
  bell(true);
  bell(true);
  assert.deepEqual(happened, [['samples', 3 * RATE], ['loop', true], ['gain', 0.3], 'start']);
  bell(false);
  bell(false);
  assert.deepEqual(happened.slice(4), ['close']);
  bell(true);
  assert.equal(happened.at(-1), 'start', 'and again for the next');
});

test('where there is no sound the call is shown all the same', () => {
  sound({ isThere: false });
  const bell = createBell(1);
  bell(true);
  bell(false);
});

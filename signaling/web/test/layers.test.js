import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layersOf } from '../js/media/layers.js';

const shape = (layers) => layers.map(({ rid, active, scaleResolutionDownBy }) => [rid, active && scaleResolutionDownBy]);

test('a camera of 720 lines is sent in three layers, a smaller one in as many as are worth it, the lowest ones', () => {
  assert.deepEqual(shape(layersOf(720)), [['q', 4], ['h', 2], ['f', 1]]);
  assert.deepEqual(shape(layersOf(360)), [['q', 2], ['h', 1], ['f', false]]);
  assert.deepEqual(shape(layersOf(180)), [['q', 1], ['h', false], ['f', false]]);
});

test('each layer may take more than the one below it', () => {
  for (const height of [180, 360, 720, 1080]) {
    const rates = layersOf(height).filter(({ active }) => active).map(({ maxBitrate }) => maxBitrate);
    assert.deepEqual(rates, [...new Set(rates)].sort((a, b) => a - b), String(height));
  }
});

test('what nobody wants is not sent, but the lowest always', () => {
  assert.deepEqual(shape(layersOf(720, 1)), [['q', 4], ['h', 2], ['f', false]]);
  assert.deepEqual(shape(layersOf(720, 0)), [['q', 4], ['h', false], ['f', false]]);
  assert.deepEqual(shape(layersOf(720, -1)), [['q', 4], ['h', false], ['f', false]]);
});

test('where the network carries no picture not even the lowest is sent', () => {
  assert.deepEqual(shape(layersOf(720, null)), [['q', false], ['h', false], ['f', false]]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Later } from './later.mjs';
import { until } from './wait.mjs';

test('things are done in the order of their times and then of asking, and none early', async () => {
  const later = new Later();
  const done = [];
  const start = performance.now();
  for (const [name, after] of [['c', 30], ['a', 10], ['d', 30], ['b', 14], ['e', 45]]) {
    later.at(start + after, () => done.push({ name, early: performance.now() < start + after }));
  }
  await until('all of them', () => done.length === 5);
  assert.deepEqual(done.map(({ name }) => name), ['a', 'b', 'c', 'd', 'e']);
  assert.ok(done.every(({ early }) => !early));
});

test('what is due with nothing before it is done at once, and waits where something is', async () => {
  const later = new Later();
  const done = [];
  later.at(performance.now(), () => done.push('now'));
  assert.deepEqual(done, ['now']);
  later.at(performance.now() + 3_600_000, () => done.push('never'));
  later.at(performance.now(), () => done.push('due'));
  await until('what is due', () => done.includes('due'));
  later.clear();
  assert.deepEqual(done, ['now', 'due']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { series, trains } from './metrics.mjs';

const PAGE = `# TYPE engine_datagrams_refused_total counter
engine_datagrams_refused_total{reason="stun"} 2
engine_datagrams_refused_total{reason="unknown_path"} 5
# TYPE engine_datagrams counter
engine_datagrams 7
engine_train_segments_bucket{kind="picture",le="2"} 14
engine_train_segments_bucket{kind="picture",le="1"} 10
${Array.from({ length: 13 }, (_, n) => `engine_train_segments_bucket{kind="picture",le="${n + 3}"} 14`).join('\n')}
engine_train_segments_bucket{le="+Inf",kind="picture"} 15
engine_train_segments_bucket{kind="voice",le="1"} 900
`;

test('a series is found by its whole name, with its labels', () => {
  assert.deepEqual(series(PAGE, 'engine_datagrams'), [{ labels: {}, value: 7 }]);
  const refused = series(PAGE, 'engine_datagrams_refused_total');
  assert.deepEqual(refused.map(({ labels, value }) => [labels.reason, value]), [['stun', 2], ['unknown_path', 5]]);
  assert.deepEqual(series(PAGE, 'engine'), []);
});

test('cumulative buckets become trains by length', () => {
  assert.deepEqual(trains(PAGE, 'picture'), [10, 4, ...new Array(13).fill(0), 1]);
  assert.deepEqual(trains('', 'picture'), new Array(16).fill(0), 'nothing was sent yet');
});

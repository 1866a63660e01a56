import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TILE_RATIO, capacityOf, grid, personInSlot, tilesOf, wantsOf } from '../js/state/layout.js';
import { after, joined, person, says, slot } from './kit/state.js';

const slots = (...list) => says({ type: 'slots', slots: list });
const shown = (mid, publicationId) => ({ type: 'shown', mid, publicationId });
const changed = (...list) => says({ type: 'roster', joined: [], changed: list, left: [] });

/** The largest tile by trying everything, with rows counted up instead of columns. */
function bestArea(count, width, height, gap) {
  let best = 0;
  for (let rows = 1; rows <= count; rows += 1) {
    const columns = Math.ceil(count / rows);
    const tile = Math.min((width - gap * (columns - 1)) / columns, ((height - gap * (rows - 1)) / rows) * TILE_RATIO);
    if (tile > 0) best = Math.max(best, tile * (tile / TILE_RATIO));
  }
  return best;
}

test('tiles are as large as any grid of 16:9 allows, inside, and apart', () => {
  for (const [width, height] of [[1440, 700], [390, 640], [320, 200], [2560, 1200], [700, 700]]) {
    for (let count = 1; count <= 30; count += 1) {
      const gap = 12;
      const boxes = grid(count, width, height, gap);
      assert.equal(boxes.length, count);
      const [first] = boxes;
      assert.ok(first.width * first.height > bestArea(count, width, height, gap) * 0.95 - 400, `${count} in ${width}x${height}`);
      for (const box of boxes) {
        assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width + 1 && box.y + box.height <= height + 1);
        assert.ok(Math.abs(box.width / TILE_RATIO - box.height) <= 1);
      }
      for (const [index, a] of boxes.entries()) {
        for (const b of boxes.slice(index + 1)) {
          const apart = a.x + a.width + gap <= b.x + 1 || b.x + b.width + gap <= a.x + 1 || a.y + a.height + gap <= b.y + 1 || b.y + b.height + gap <= a.y + 1;
          assert.ok(apart, `${count} in ${width}x${height}`);
        }
      }
    }
  }
});

test('two people stand side by side in a wide window and above each other in a tall one', () => {
  const wide = grid(2, 1600, 500, 12);
  assert.equal(wide[0].y, wide[1].y);
  const tall = grid(2, 390, 640, 8);
  assert.equal(tall[0].x, tall[1].x);
});

test('a last row that is not full is centred', () => {
  const boxes = grid(5, 1440, 700, 12);
  const [, , , fourth, fifth] = boxes;
  assert.equal(Math.round(fourth.x + (fifth.x + fifth.width - fourth.x) / 2), 720);
});

test('no window and nobody give no boxes', () => {
  assert.deepEqual(grid(0, 100, 100, 8), []);
  assert.deepEqual(grid(3, 0, 100, 8), []);
});

test('everybody else has a tile, without a slot too', () => {
  assert.deepEqual(tilesOf(joined()).map(({ participantId, mid }) => [participantId, mid]), [['b', null], ['c', null]]);
});

test('people keep their place when they get a slot', () => {
  const state = after(joined(), slots(slot('5', 'c', 2)));
  assert.deepEqual(tilesOf(state).map(({ participantId, mid }) => [participantId, mid]), [['b', null], ['c', '5']]);
});

test('a tile is covered until the first picture, and named by the picture from then on', () => {
  const assigned = after(joined(), slots(slot('5', 'b', 1)));
  assert.deepEqual(personInSlot(assigned, '5'), { participantId: 'b', live: false });
  const seen = after(assigned, shown('5', 1));
  assert.deepEqual(personInSlot(seen, '5'), { participantId: 'b', live: true });
});

test('the old name stays on the old picture until the first picture of the new person', () => {
  const before = after(joined(), slots(slot('5', 'b', 1)), shown('5', 1));
  const switching = after(before, slots(slot('5', 'c', 2)));
  assert.deepEqual(personInSlot(switching, '5'), { participantId: 'b', live: true });
  assert.deepEqual(tilesOf(switching).map(({ participantId, key }) => [participantId, key]), [['b', 'slot-5'], ['c', 'person-c']]);
  const switched = after(switching, shown('5', 2));
  assert.deepEqual(tilesOf(switched).map(({ participantId, key }) => [participantId, key]), [['b', 'person-b'], ['c', 'slot-5']]);
});

test('the picture may also be earlier than the slots message', () => {
  const state = after(joined(), slots(slot('5', 'b', 1)), shown('5', 2));
  assert.deepEqual(personInSlot(state, '5'), { participantId: 'c', live: true });
});

test('who left is not named any more', () => {
  const state = after(
    joined(),
    slots(slot('5', 'b', 1)),
    shown('5', 1),
    slots(slot('5', 'c', 2)),
    says({ type: 'roster', joined: [], changed: [], left: ['b'] }),
  );
  assert.deepEqual(personInSlot(state, '5'), { participantId: 'c', live: false });
});

test('a camera that is off is covered', () => {
  const state = after(joined(), slots(slot('5', 'b', 1)), shown('5', 1), changed(person('b', { cameraMuted: true })));
  assert.deepEqual(personInSlot(state, '5'), { participantId: 'b', live: false });
});

test('two slots never show one person twice; the one with the picture counts', () => {
  const state = after(joined(), slots(slot('5', 'c', 2), slot('6', 'b', 1)), shown('5', 1));
  assert.deepEqual(tilesOf(state).map(({ participantId, key, live }) => [participantId, key, live]), [
    ['b', 'slot-5', true],
    ['c', 'person-c', false],
  ]);
});

test('capacity is at least one tile and grows with the window', () => {
  assert.equal(capacityOf(10, 10, 8, 200), 1);
  assert.ok(capacityOf(1440, 700, 12, 216) >= 25);
  assert.ok(capacityOf(374, 620, 8, 150) >= 12);
});

test('wishes are sent only when people outnumber the slots', () => {
  const few = joined();
  const box = { x: 0, y: 0, width: 500, height: 281 };
  assert.deepEqual(
    wantsOf(few, tilesOf(few), [box], 1.5).map(({ priority, width, height }) => [priority, width, height]),
    [[1, 752, 432], [1, 0, 0]],
    'in the pixels of the screen, and nobody before the active speaker',
  );
  const many = after(few, says({ type: 'roster', joined: [person('d')], changed: [], left: [] }));
  const wants = wantsOf(many, tilesOf(many));
  assert.deepEqual(wants.map(({ participantId, priority }) => [participantId, priority]), [['b', 3], ['c', 2], ['d', 1]]);
});

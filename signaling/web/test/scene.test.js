import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tilesOf } from '../js/state/layout.js';
import { GALLERY_TILES, PINS_MAX, LOW_BITRATE, LOW_TILES, picturesIn, sceneOf, slotsFor, togglePin, wishOf } from '../js/state/scene.js';
import { after, joined, person, says, welcome } from './kit/state.js';

const DESK = { width: 1896, height: 920, gap: 12, minWidth: 160, slots: 9, own: 0 };
const PHONE = { width: 374, height: 640, gap: 8, minWidth: 150, slots: 4, own: 0 };
const names = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => `p${from + n}`);

/** A meeting of so many others. */
const meetingOf = (count, ...actions) => after(joined({ roster: [person('me'), ...names(1, count).map((id) => person(id))] }), ...actions);
const sceneIn = (state, room = DESK) => sceneOf(state, tilesOf(state), room);
const people = ({ tiles }) => tiles.map(({ participantId }) => participantId);
const view = (name) => ({ type: 'view', view: name });
const page = (number) => ({ type: 'page', page: number });
const pin = (participantId) => ({ type: 'pin', participantId });
const speaks = (participantId) => says({ type: 'speaker', participantId });
const overlaps = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

test('a grid shows as many as every connection has room for, the gallery up to 49, and pages the rest in order of arrival', () => {
  const grid = meetingOf(51);
  assert.deepEqual([people(sceneIn(grid)), sceneIn(grid).pages], [names(1, 9), 6]);
  const gallery = after(grid, view('gallery'));
  assert.deepEqual([people(sceneIn(gallery)), sceneIn(gallery).pages], [names(1, GALLERY_TILES), 2]);
  assert.deepEqual(people(sceneIn(after(gallery, page(1)))), ['p50', 'p51']);
  assert.deepEqual([people(sceneIn(gallery, PHONE)).length, sceneIn(gallery, PHONE).pages], [14, 4], 'no smaller than legible');
  assert.equal(people(sceneIn(grid, PHONE)).length, 4);
  assert.equal(sceneIn(meetingOf(9)).pages, 1);
});

test('everybody stands on exactly one page, with a box of their own inside the stage', () => {
  for (const count of [1, 2, 9, 10, 49, 50, 120]) {
    for (const room of [DESK, PHONE, { ...DESK, own: 1 }, { ...PHONE, own: 1 }]) {
      for (const changes of [[], [view('gallery')], [view('speaker')], [pin('p1'), pin('p2')]]) {
        const state = meetingOf(count, ...changes);
        const { pages, large } = sceneIn(state, room);
        const seen = [];
        for (let number = 0; number < pages; number += 1) {
          const scene = sceneIn(after(state, page(number)), room);
          assert.equal(scene.boxes.length, scene.tiles.length + room.own);
          for (const [at, box] of scene.boxes.entries()) {
            assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= room.width + 1 && box.y + box.height <= room.height + 1, JSON.stringify({ count, room, box }));
            assert.ok(scene.boxes.every((other, n) => n === at || !overlaps(box, other)));
          }
          seen.push(...people(scene).slice(large));
          assert.deepEqual(people(scene).slice(0, large), people(sceneIn(state, room)).slice(0, large), 'who is large is on every page');
        }
        const all = [...people(sceneIn(state, room)).slice(0, large), ...seen];
        assert.deepEqual([...all].sort(), names(1, count).sort());
      }
    }
  }
});

test('a page that is gone is the last one, and comes back with its people', () => {
  const third = meetingOf(20, page(2));
  assert.deepEqual(people(sceneIn(third)), ['p19', 'p20']);
  const fewer = after(third, says({ type: 'roster', joined: [], changed: [], left: ['p19', 'p20'] }));
  assert.deepEqual([sceneIn(fewer).page, people(sceneIn(fewer)).length], [1, 9]);
  const more = after(fewer, says({ type: 'roster', joined: [person('p21')], changed: [], left: [] }));
  assert.deepEqual(people(sceneIn(more)), ['p21']);
});

test('who is pinned comes first and large, on every page, and stays so when the connection comes back', () => {
  const pinned = meetingOf(30, pin('p20'), page(1));
  const scene = sceneIn(pinned);
  assert.equal(scene.large, 1);
  assert.equal(people(scene)[0], 'p20');
  assert.ok(scene.boxes[0].width > 3 * scene.boxes[1].width);
  const back = after(pinned, says(welcome({ roster: [person('me'), ...names(1, 30).map((id) => person(id))] })));
  assert.deepEqual(people(sceneIn(back)), people(scene));
  const left = after(pinned, says({ type: 'roster', joined: [], changed: [], left: ['p20'] }));
  assert.equal(sceneIn(left).large, 0, 'nobody large for somebody who left');
  const returned = after(left, says({ type: 'roster', joined: [person('p20')], changed: [], left: [] }));
  assert.equal(people(sceneIn(returned))[0], 'p20', 'until they come back');
  assert.equal(sceneIn(after(pinned, pin('p20'))).large, 0);
});

test('a few may be pinned at once, the oldest pin makes room', () => {
  const pins = ['a', 'b', 'c', 'd', 'e'].reduce(togglePin, []);
  assert.deepEqual([pins, pins.length], [['b', 'c', 'd', 'e'], PINS_MAX]);
  assert.deepEqual(togglePin(pins, 'c'), ['b', 'd', 'e']);
});

test('the speaker is large where that is wanted and nobody is pinned; own words move nothing', () => {
  const grid = meetingOf(5, speaks('p3'));
  assert.equal(sceneIn(grid).large, 0);
  const speaker = after(grid, view('speaker'));
  assert.deepEqual([sceneIn(speaker).large, people(sceneIn(speaker))[0]], [1, 'p3']);
  assert.equal(people(sceneIn(after(speaker, speaks('me'))))[0], 'p3');
  assert.equal(people(sceneIn(after(speaker, speaks(null))))[0], 'p3');
  assert.equal(people(sceneIn(after(speaker, speaks('p4'))))[0], 'p4');
  assert.equal(people(sceneIn(after(speaker, speaks('p4'), pin('p5'))))[0], 'p5');
  assert.equal(people(sceneIn(after(meetingOf(3), view('speaker'))))[0], 'p1', 'somebody is large before anybody spoke');
});

test('only those in sight are asked for; others fill slots only where everybody is in sight', () => {
  const all = meetingOf(12);
  const first = wishOf(all, sceneIn(all), 1);
  assert.deepEqual([first.wants.map(({ participantId }) => participantId), first.fill], [names(1, 9), false]);
  const second = after(all, page(1));
  assert.deepEqual(wishOf(second, sceneIn(second), 1).wants.map(({ participantId }) => participantId), ['p10', 'p11', 'p12']);
  const few = meetingOf(2);
  assert.equal(wishOf(few, sceneIn(few), 1).fill, true);
});

test('the large one is the most wanted, at its size', () => {
  const state = meetingOf(12, pin('p7'));
  const [large, ...rest] = wishOf(state, sceneIn(state), 2).wants;
  assert.deepEqual([large.participantId, large.priority], ['p7', 255]);
  assert.ok(rest.every(({ priority, width }) => priority < 255 && width < large.width));
});

test('low bandwidth limits tiles and bits a second, and asks for all voices as one', () => {
  const state = meetingOf(30, view('gallery'), { type: 'lowBandwidth', on: true });
  const wish = wishOf(state, sceneIn(state), 1);
  assert.deepEqual([wish.wants.length, wish.maxTiles, wish.maxBitrate, wish.fill, wish.mix], [LOW_TILES, LOW_TILES, LOW_BITRATE, false, true]);
  const off = after(state, { type: 'lowBandwidth', on: false });
  assert.deepEqual(Object.keys(wishOf(off, sceneIn(off), 1)), ['wants', 'fill'], 'and nothing of it without');
});

test('slots are offered for those in sight with their cameras on, in steps', () => {
  const off = names(1, 20).map((id) => person(id, { cameraMuted: true }));
  const state = meetingOf(30, view('gallery'), says({ type: 'roster', joined: [], changed: off, left: [] }));
  assert.equal(sceneIn(state).tiles.length, 30);
  assert.equal(picturesIn(state, sceneIn(state)), 10);
  assert.deepEqual([4, 9, 10, 17, 36, 37, 49].map((pictures) => slotsFor(pictures, 9)), [null, null, 16, 25, 36, 49, 49]);
  assert.equal(slotsFor(49, 49), null);
  assert.equal(slotsFor(5, 4), 9);
});

test('slots that are added leave what is shown in the others as it is', () => {
  const shown = after(joined(), says({ type: 'slots', slots: [{ mid: '5', participantId: 'b', publicationId: 1 }] }), { type: 'shown', mid: '5', publicationId: 1 });
  const grown = after(shown, { type: 'grown', slots: [{ mid: '7', kind: 'video' }] });
  assert.deepEqual(tilesOf(grown), tilesOf(shown));
  const filled = after(grown, says({ type: 'slots', slots: [{ mid: '7', participantId: 'c', publicationId: 2 }] }));
  assert.deepEqual(tilesOf(filled).map(({ mid, live }) => [mid, live]), [['5', true], ['7', false]]);
});

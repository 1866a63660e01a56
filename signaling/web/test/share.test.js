import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tilesOf, wantsOf } from '../js/state/layout.js';
import { largeTiles, picturesIn, sceneOf } from '../js/state/scene.js';
import { screenTile, sharerOf } from '../js/state/share.js';
import { speakingParticipants } from '../js/state/select.js';
import { after, joined, person, says, slot } from './kit/state.js';

const screen = (id, participantId) => ({ id, participantId, kind: 'screen' });
const published = (added, removed = []) => says({ type: 'publications', added, removed });
const slots = (...list) => says({ type: 'slots', slots: list });
const shown = (mid, publicationId) => ({ type: 'shown', mid, publicationId });
const sharing = () => after(joined(), published([screen(9, 'b')]));

test('who shares is whose screen is published', () => {
  assert.equal(sharerOf(joined()), null);
  assert.equal(sharerOf(sharing()), 'b');
  assert.equal(sharerOf(after(sharing(), published([], [9]))), null);
});

test('others hear who shares and who stopped, and the own share is not announced', () => {
  assert.deepEqual(sharing().announcement.content, { code: 'shares', name: 'B' });
  assert.deepEqual(after(sharing(), published([], [9])).announcement.content, { code: 'sharesNoMore', name: 'B' });
  assert.equal(after(joined(), published([screen(8, 'me')])).announcement, null);
});

test('a screen has a tile before it has a slot, a cover until its first picture, and no camera is mistaken for it', () => {
  assert.deepEqual(screenTile(sharing()), { key: 'screen-b', mid: null, participantId: 'b', live: false, kind: 'screen' });
  const assigned = after(sharing(), slots(slot('5', 'b', 9), slot('6', 'b', 1)), shown('6', 1));
  assert.deepEqual(screenTile(assigned), { key: 'slot-5', mid: '5', participantId: 'b', live: false, kind: 'screen' });
  const seen = after(assigned, shown('5', 9));
  assert.equal(screenTile(seen).live, true);
  assert.deepEqual(tilesOf(seen).map(({ participantId, mid }) => [participantId, mid]), [['b', '6'], ['c', null]]);
});

test('a slot that still shows the camera of before is no screen yet', () => {
  const switching = after(sharing(), slots(slot('5', 'c', 2)), shown('5', 2), slots(slot('5', 'b', 9)));
  assert.equal(screenTile(switching).mid, null);
  assert.deepEqual(tilesOf(switching).map(({ participantId, live }) => [participantId, live]), [['b', false], ['c', true]]);
});

test('a screen is seen whether or not its owner has a camera', () => {
  const off = after(sharing(), says({ type: 'roster', joined: [], changed: [person('b', { cameraMuted: true })], left: [] }));
  assert.equal(screenTile(after(off, slots(slot('5', 'b', 9)), shown('5', 9))).live, true);
});

test('one\'s own screen is not on one\'s own stage', () => {
  const own = after(joined(), published([screen(8, 'me')]));
  assert.deepEqual([sharerOf(own), screenTile(own)], ['me', null]);
});

test('the screen is asked for first, with its size', () => {
  const state = sharing();
  const [first, second] = wantsOf(state, [screenTile(state), ...tilesOf(state)], [{ x: 0, y: 0, width: 1000, height: 600 }], 1);
  assert.deepEqual(first, { participantId: 'b', kind: 'screen', priority: 255, width: 1008, height: 608 });
  assert.ok(second.kind === 'camera' && second.priority < 255);
});

test('the sound of a film makes nobody a speaker', () => {
  const state = after(sharing(), published([{ id: 10, participantId: 'b', kind: 'screenAudio' }]));
  assert.deepEqual([...speakingParticipants(state, new Set([10]))], []);
});

test('being taken over ends the own share and says by whom', () => {
  const own = after(joined(), { type: 'wanted', kind: 'screen', wanted: true }, published([screen(8, 'me')]));
  const over = after(own, says({ type: 'muted', kind: 'screen', by: 'b' }));
  assert.equal(over.wanted.screen, false);
  assert.deepEqual(over.notices.map(({ code, name }) => [code, name]), [['shareTaken', 'B']]);
  assert.equal(over.participants.get('me').microphoneMuted, false);
});

test('the screen is large and people stand beside it, whoever is pinned first', () => {
  const state = sharing();
  const tiles = [screenTile(state), ...tilesOf(state)];
  const room = { width: 1440, height: 700, gap: 12, minWidth: 216, slots: 9, own: 1 };
  const scene = sceneOf(state, tiles, room);
  assert.deepEqual(scene.tiles.map(({ participantId, kind }) => [participantId, kind]), [['b', 'screen'], ['b', undefined], ['c', undefined]]);
  assert.equal(scene.large, 1);
  assert.ok(scene.boxes[0].width * scene.boxes[0].height > 0.6 * room.width * room.height);
  const pinned = after(state, { type: 'pin', participantId: 'c' });
  assert.deepEqual(sceneOf(pinned, tiles, room).tiles.map(({ participantId }) => participantId), ['b', 'c', 'b']);
  assert.equal(picturesIn(state, scene), 3);
});

test('who is in the spotlight is large unless a screen is or the person pinned somebody, and stands first beside a screen', () => {
  const lit = after(joined(), says({ type: 'roster', joined: [], changed: [person('c', { spotlit: true })], left: [] }));
  assert.deepEqual(lit.announcement.content, { code: 'spotlit', name: 'C' });
  const large = (state) => largeTiles(state, tilesOf(state)).map(({ participantId }) => participantId);
  assert.deepEqual(large(lit), ['c']);
  assert.deepEqual(large(after(lit, { type: 'pin', participantId: 'b' })), ['b']);
  assert.deepEqual(large(after(lit, says({ type: 'roster', joined: [], changed: [], left: ['b'] }))), [], 'who is alone is large anyway');
  const shared = after(lit, published([screen(9, 'b')]));
  const room = { width: 1440, height: 700, gap: 12, minWidth: 216, slots: 9, own: 1 };
  const { tiles } = sceneOf(shared, [screenTile(shared), ...tilesOf(shared)], room);
  assert.deepEqual(tiles.map(({ participantId, kind }) => [participantId, kind]), [['b', 'screen'], ['c', undefined], ['b', undefined]]);
});

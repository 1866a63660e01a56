/** What the page makes of a recording: its state, what to play, who speaks, which messages were written, keys, words. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordingView } from '../js/app/recording.js';
import { ApiError } from '../js/protocol/http.js';
import { keyAct, nextSpeed, SPEEDS } from '../js/state/playback.js';
import { dateOf, endOfDay, isGrowing, isSpeaking, laneShape, lanesOf, nextTurn, offerOf, phaseOf, placed, savingUrl, sourceOf, withRendition, writtenAt } from '../js/state/recording.js';
import { filesOf } from '../js/ui/player-files.js';
import { noteOf, refusalWords } from '../js/ui/recording-page.js';
import { factsOf } from '../js/ui/recordings-list.js';

const rec = (more = {}) => ({
  id: 'rec_1', subject: 'Weekly', state: 'ready', complete: true, createdDateTime: '2026-11-29T14:05:00.000Z', durationMs: 754_000, contentSize: 900,
  contentUrl: '/v1/recordings/rec_1/content', expirationDateTime: null, sharing: 'off', part: { number: 1, first: 'rec_1' }, permissions: ['read'],
  tracks: [], renditions: [], ...more,
});
const live = (contentSize) => rec({ state: 'recording', complete: false, contentSize });
const timeline = (more = {}) => ({
  startedAt: '2026-11-29T14:05:00.000Z', durationMs: 10_000, participants: [{ id: 'a', name: 'Ada' }, { id: 'b', name: 'Bob' }, { id: 'c', name: 'Cleo' }],
  speaking: [{ participant: 'b', fromMs: 1_000, toMs: 2_000 }, { participant: 'a', fromMs: 1_500, toMs: 4_000 }, { participant: 'b', fromMs: 5_000, toMs: 5_500 }, { participant: 'a', fromMs: 7_000, toMs: 7_000 }],
  breaks: [], ...more,
});
const line = (seq, offsetMs) => ({ seq, offsetMs, from: { displayName: 'Ada' }, text: `${seq}` });

test('four states, of which two still grow', () => {
  const states = [live(1), rec({ complete: false }), rec(), rec({ state: 'failed', complete: false })];
  assert.deepEqual(states.map(phaseOf), ['live', 'storing', 'complete', 'failed']);
  assert.deepEqual(states.map(isGrowing), [true, true, false, false]);
});

test('what grows is played as it was at one moment, what is complete as a whole', () => {
  assert.equal(sourceOf(live(120)), '/v1/recordings/rec_1/content?upto=120');
  assert.equal(sourceOf(rec()), '/v1/recordings/rec_1/content');
  assert.equal(sourceOf(live(0)), null);
  assert.equal(sourceOf(rec({ contentSize: undefined })), null);
});

test('more is offered when there is more, the whole when it is complete', () => {
  const source = sourceOf(live(120));
  assert.deepEqual([live(120), live(240), rec(), rec({ contentSize: undefined })].map((one) => offerOf(one, source)), ['nothing', 'more', 'whole', 'nothing']);
  assert.equal(offerOf(rec(), sourceOf(rec())), 'nothing');
});

test('a lane for each who spoke, whoever was first on top; nothing for turns without length', () => {
  const lanes = lanesOf(timeline());
  assert.deepEqual(lanes.map(({ name, totalMs, turns }) => [name, totalMs, turns.length]), [['Bob', 1_500, 2], ['Ada', 2_500, 1]]);
  assert.equal(laneShape(lanes[0]), 'M1000 0H2000V1H1000ZM5000 0H5500V1H5000Z');
  assert.deepEqual([999, 1_000, 1_999, 2_000].map((at) => isSpeaking(lanes[0], at)), [false, true, true, false]);
  assert.deepEqual([0, 1_000, 4_999, 5_000, 9_000].map((at) => nextTurn(lanes[0], at)), [1_000, 5_000, 1_000, 1_000, 1_000]);
  assert.equal(lanesOf(timeline({ participants: [] }))[0].name, '?');
});

test('messages stand on the recording’s clock, which stood still in breaks', () => {
  const breaks = [{ atMs: 2_000, from: '2026-11-29T14:05:02.000Z', to: '2026-11-29T14:05:05.000Z', cause: 'paused' }];
  const lines = placed([line(3, 6_000), line(1, 1_000), line(2, 4_000)], timeline({ breaks }));
  assert.deepEqual(lines.map(({ seq, atMs }) => [seq, atMs]), [[1, 1_000], [2, 2_000], [3, 3_000]]);
  assert.deepEqual(placed([line(1, 1_000), line(2, 6_000)], null).map(({ atMs }) => atMs), [1_000, 6_000]);
});

test('a message is there from its time on', () => {
  const lines = placed([1_000, 2_000, 2_000, 3_000].map((at, n) => line(n, at)), null);
  assert.deepEqual([0, 999, 1_000, 1_999, 2_000, 2_999, 3_000, 99_999].map((at) => writtenAt(lines, at)), [0, 0, 1, 1, 3, 3, 4, 4]);
  assert.equal(writtenAt([], 5), 0);
});

test('keys of the player act anywhere but where they have a meaning of their own', () => {
  const plain = { ctrlKey: false, metaKey: false, altKey: false };
  const act = (key, place = 'page', more = {}) => keyAct({ key, ...plain, ...more }, place);
  assert.deepEqual([' ', 'k', 'ArrowLeft', 'ArrowRight', 'j', 'L', 'ArrowUp', 'ArrowDown', '<', '>', 'F', 'm'].map((key) => act(key)), [
    { do: 'toggle' }, { do: 'toggle' }, { do: 'seek', by: -5 }, { do: 'seek', by: 5 }, { do: 'seek', by: -10 }, { do: 'seek', by: 10 },
    { do: 'volume', by: 0.1 }, { do: 'volume', by: -0.1 }, { do: 'speed', by: -1 }, { do: 'speed', by: 1 }, { do: 'fullScreen' }, { do: 'mute' },
  ]);
  assert.equal(act(' ', 'press'), null, 'space presses a button');
  assert.deepEqual(act('k', 'press'), { do: 'toggle' });
  assert.equal(act('k', 'own'), null, 'who types a date types');
  assert.equal(act('f', 'page', { ctrlKey: true }), null, 'the browser’s search');
  assert.deepEqual([act('Home', 'page'), act('Home', 'seek'), act('End', 'seek'), act('x')], [null, { do: 'start' }, { do: 'end' }, null]);
});

test('speeds go step by step and end at both ends', () => {
  assert.deepEqual([SPEEDS[0], SPEEDS.at(-1)], [0.5, 2]);
  assert.deepEqual([nextSpeed(1, 1), nextSpeed(1, -1), nextSpeed(2, 1), nextSpeed(0.5, -1), nextSpeed(1.1, 1)], [1.25, 0.75, 2, 0.5, 1.25]);
});

test('a day that is chosen ends at its end, and comes back as the same day', () => {
  const end = endOfDay('2027-01-31');
  assert.equal(dateOf(end), '2027-01-31');
  assert.equal(Date.parse(end) - Date.parse(new Date('2027-01-31T00:00:00').toISOString()), 86_399_000);
  assert.deepEqual([endOfDay(''), endOfDay('2027-13-40'), endOfDay('soon'), dateOf(null), dateOf('soon')], [null, null, null, '', '']);
});

test('what is said of each state', () => {
  assert.deepEqual(noteOf(rec(), sourceOf(rec())), { text: '', button: '' });
  assert.equal(noteOf(live(120), sourceOf(live(120))).text, 'It is still being recorded; 12:34 so far.');
  assert.equal(noteOf(live(240), sourceOf(live(120))).button, 'Load what came since');
  assert.deepEqual(noteOf(rec(), sourceOf(live(120))), { text: 'The recording is complete now.', button: 'Load the whole recording' });
  assert.match(noteOf(rec({ complete: false }), sourceOf(rec({ complete: false }))).text, /still being stored/);
  assert.match(noteOf(rec({ state: 'failed' }), sourceOf(rec())).text, /ended early.*12:34/);
  assert.match(noteOf(live(undefined), null).text, /Nothing is written yet/);
  assert.match(noteOf(rec({ contentSize: undefined }), null).text, /Nobody sent/);
});

test('each refusal has a heading of its own', () => {
  const kinds = [[401, 'unauthorized'], [403, 'forbidden'], [404, 'not_found'], [410, 'recording_expired'], [410, 'recording_deleted'], [500, 'internal']];
  const headings = kinds.map(([status, code]) => refusalWords({ status, code, message: 'Said.' }).heading);
  assert.equal(new Set(headings).size, kinds.length);
  assert.equal(refusalWords({ status: 410, code: 'recording_deleted', message: 'For good.' }).text, 'For good.');
});

test('a line of the list says state, length, part and how long it is kept', () => {
  assert.match(factsOf(rec({ size: 1_234_567 })), /2026.* · 12:34 · 1\.2 MB$/);
  assert.match(factsOf(live(1)), /^Being recorded/);
  assert.match(factsOf(rec({ state: 'failed', part: { number: 2, first: 'rec_0' }, sharing: 'link', expirationDateTime: '2027-03-01T10:00:00.000Z' })), /^Ended early.*part 2 · until .*2027.* · Shared by a link$/);
});

test('files that were made are named, by their number where there are several', () => {
  const wav = (files, state = 'ready') => ({ name: 'wav', kind: 'wav', state, files: files.map((name) => ({ name, contentUrl: `/${name}` })) });
  assert.deepEqual(filesOf(wav(['wav.wav'])), [{ label: 'Sound as WAV', url: '/wav.wav' }]);
  assert.deepEqual(filesOf(wav(['1', '2'])).map(({ label }) => label), ['Sound as WAV, part 1', 'Sound as WAV, part 2']);
  assert.deepEqual(filesOf(wav(['1'], 'running')), []);
  assert.deepEqual(withRendition([{ name: 'a', n: 1 }, { name: 'b' }], { name: 'a', n: 2 }), [{ name: 'b' }, { name: 'a', n: 2 }]);
  assert.equal(savingUrl('/x'), '/x?download=1');
  assert.equal(savingUrl('/x?format=vtt'), '/x?format=vtt&download=1');
});

/** A server that answers as told, and a clock that is turned by hand. */
function world(answers) {
  const waiting = [];
  const asked = [];
  const answer = (name) => async (...args) => {
    asked.push(name);
    const value = answers[name];
    const given = typeof value === 'function' ? value(...args) : value;
    if (given instanceof Error) throw given;
    return given;
  };
  const api = Object.fromEntries(['read', 'readTimeline', 'readChat', 'listDeleted', 'listRenditions', 'change', 'remove', 'restore', 'render'].map((name) => [name, answer(name)]));
  const later = (run, ms) => {
    const timer = { run, ms };
    waiting.push(timer);
    return () => waiting.includes(timer) && waiting.splice(waiting.indexOf(timer), 1);
  };
  const view = new RecordingView({ id: 'rec_1', api, env: { later } });
  const pass = async () => {
    const { run, ms } = waiting.shift();
    run();
    for (let n = 0; n < 20; n += 1) await Promise.resolve();
    return ms;
  };
  return { view, answers, asked, waiting, pass };
}

test('while it grows the page looks every ten seconds and plays on from its snapshot', async () => {
  const { view, answers, asked, waiting, pass } = world({ read: live(120), readTimeline: timeline() });
  await view.open();
  assert.ok(!asked.includes('readTimeline'), 'there is none while it runs');
  answers.read = live(240);
  assert.equal(await pass(), 10_000);
  assert.equal(view.store.state.source, sourceOf(live(120)));
  assert.equal(offerOf(view.store.state.recording, view.store.state.source), 'more');
  answers.read = rec();
  await pass();
  assert.equal(view.store.state.source, sourceOf(live(120)), 'nobody is torn out of what they watch');
  assert.equal(view.store.state.timeline?.durationMs, 10_000, 'who spoke when is there now');
  assert.equal(waiting.length, 0, 'what is complete does not change');
  await view.open();
  assert.equal(view.store.state.source, sourceOf(rec()));
});

test('what had nothing begins to play when something is written', async () => {
  const { view, answers, pass } = world({ read: live(undefined) });
  await view.open();
  assert.equal(view.store.state.source, null);
  answers.read = live(120);
  await pass();
  assert.equal(view.store.state.source, sourceOf(live(120)));
});

test('a network that is away takes nothing; a deletion does, and is undone by those who may', async () => {
  const { view, answers, pass } = world({ read: live(120), listDeleted: (link) => (link ? { value: [{ id: 'rec_1' }] } : { value: [{ id: 'rec_0' }], '@odata.nextLink': '/next' }) });
  await view.open();
  answers.read = new ApiError(0, 'unreachable', '', '');
  await pass();
  assert.equal(view.store.state.refusal, null);
  answers.read = new ApiError(410, 'recording_deleted', 'Gone.', '');
  await pass();
  assert.deepEqual([view.store.state.refusal?.code, view.store.state.mayRestore, view.store.state.recording], ['recording_deleted', true, null]);
  answers.read = rec();
  answers.readTimeline = null;
  await view.restore();
  assert.deepEqual([view.store.state.refusal, view.store.state.recording?.id], [null, 'rec_1']);
});

test('whoever may not bring it back is not offered that', async () => {
  const { view } = world({ read: new ApiError(410, 'recording_deleted', '', ''), listDeleted: new ApiError(401, 'unauthorized', '', '') });
  await view.open();
  assert.deepEqual([view.store.state.refusal?.status, view.store.state.mayRestore], [410, false]);
});

test('what is being made is asked about each second until it is there', async () => {
  const grid = (state) => ({ name: 'grid-tiles', kind: 'grid', layout: 'tiles', files: [], ...state });
  const { view, answers, waiting, pass } = world({ read: rec(), readTimeline: timeline(), render: grid({ state: 'queued' }) });
  await view.open();
  assert.equal(waiting.length, 0);
  await view.make({ kind: 'grid', layout: 'tiles' });
  answers.listRenditions = [grid({ state: 'running', percent: 40 })];
  assert.equal(await pass(), 1_000);
  assert.equal(view.store.state.recording?.renditions[0]?.percent, 40);
  answers.listRenditions = [grid({ state: 'ready' })];
  await pass();
  assert.equal(waiting.length, 0);
});

test('a page that was left asks nothing more', async () => {
  const { view, waiting } = world({ read: live(120) });
  await view.open();
  view.dispose();
  assert.equal(waiting.length, 0);
});

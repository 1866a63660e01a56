/** What the page makes of a recording's states, and of being asked to agree to it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPaused, isRecording } from '../js/state/select.js';
import { meetingLine } from '../js/ui/meeting-lines.js';
import { troubleWords } from '../js/ui/notices.js';
import { en } from '../js/text/en.js';
import { clock } from '../js/text/format.js';
import { after, joined, says, welcome } from './kit/state.js';

const recording = (state, trouble = null) => says({ type: 'recording', state, recordingId: state === 'off' ? null : 'rec_1', trouble });
const asked = says({ type: 'recordingConsent', state: 'asked' });
const muted = (kind, by = null) => says({ type: 'muted', kind, by });

test('a pause is still a recording, that can be stopped', () => {
  const states = ['off', 'starting', 'on', 'paused', 'stopping'].map((state) => after(joined(), recording(state)));
  assert.deepEqual(states.map(isRecording), [false, true, true, true, false]);
  assert.deepEqual(states.map(isPaused), [false, false, false, true, false]);
});

test('trouble is known while it lasts', () => {
  const state = after(joined(), recording('on', 'diskFull'));
  assert.equal(state.recording.trouble, 'diskFull');
  assert.equal(after(state, recording('on')).recording.trouble, null);
});

test('the notice of trouble says since when, where the server says it', () => {
  const troubleSince = '2026-11-24T13:35:20.000Z';
  const troubled = says({ type: 'recording', state: 'on', recordingId: 'rec_1', trouble: 'storeUnavailable', troubleSince });
  const words = troubleWords(after(joined(), troubled).recording);
  assert.match(clock(troubleSince), /\d:35/u);
  assert.ok(words.includes(`(since ${clock(troubleSince)})`), words);
  assert.notEqual(words, troubleWords(after(joined(), recording('on', 'storeUnavailable')).recording));
  assert.doesNotMatch(troubleWords(after(joined(), recording('on', 'diskFull')).recording), /since \d|undefined|Invalid|\(\)/u);
  assert.equal(troubleWords(after(joined(), troubled, recording('on')).recording), '');
});

test('whoever is asked to agree is told that alone, and not that somebody muted them', () => {
  const state = after(joined(), asked, muted('microphone'), muted('camera'), muted('screen'));
  assert.deepEqual(state.notices, []);
  assert.deepEqual(state.wanted, { microphone: false, camera: false, screen: false, screenAudio: false });
  assert.equal(after(joined(), asked, muted('microphone', 'b')).notices.length, 1, 'by a person it is news all the same');
  assert.equal(after(joined(), muted('microphone')).notices.length, 1);
});

test('a welcome begins anew: the question is asked again where it is still open', () => {
  assert.equal(after(joined(), asked).consent, 'asked');
  assert.equal(after(joined(), asked, says(welcome())).consent, 'notNeeded');
});

test('starts, gaps and ends stand in the chat', () => {
  const base = { seq: 1, id: 'evt_1', time: '2026-11-24T13:35:20.000Z', recordingId: 'rec_1', by: null };
  const line = (more) => meetingLine({ ...base, ...more });
  const { recordingInterrupted } = en.chat;
  assert.equal(line({ kind: 'recordingStarted', part: 1 }), 'Recording started.');
  assert.equal(line({ kind: 'recordingStarted', part: 3 }), 'The recording goes on, as part 3.');
  assert.equal(line({ kind: 'recordingPaused' }), 'Recording paused.');
  assert.equal(line({ kind: 'recordingResumed' }), 'Recording resumed.');
  assert.equal(line({ kind: 'recordingInterrupted', reason: 'diskFull' }), recordingInterrupted.diskFull);
  assert.notEqual(recordingInterrupted.diskFull, recordingInterrupted.serverRestarted);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HUES, hueOf, initials } from '../js/state/names.js';
import { en } from '../js/text/en.js';
import { clock, duration, plural, size } from '../js/text/format.js';

test('initials are one or two letters of any script', () => {
  assert.equal(initials('Ada Lovelace'), 'AL');
  assert.equal(initials('bob'), 'B');
  assert.equal(initials('  Émile  de la Zola '), 'ÉZ');
  assert.equal(initials('李 伟'), '李伟');
  assert.equal(initials('jean-luc'), 'JL');
  assert.equal(initials('👋'), '?');
  assert.equal(initials(''), '?');
});

test('the colour of a name is the same everywhere and uses the whole palette', () => {
  assert.equal(hueOf('Ada'), hueOf(' ada '));
  const hues = new Set(Array.from({ length: 200 }, (_, n) => hueOf(`person ${n}`)));
  assert.equal(hues.size, HUES);
  assert.ok([...hues].every((hue) => hue >= 0 && hue < HUES));
});

test('plural forms fit their number', () => {
  assert.equal(plural(1, { one: '# person', other: '# people' }), '1 person');
  assert.equal(plural(0, { one: '# person', other: '# people' }), '0 people');
  assert.equal(en.people.count(1), '1 person');
  assert.equal(en.people.count(2_500), '2,500 people');
  assert.equal(en.preJoin.present(1), '1 person is already here');
  assert.equal(en.chat.unread(2), '2 unread messages');
});

test('sizes and durations read well', () => {
  assert.equal(size(0), '0 byte');
  assert.equal(size(1_234_567), '1.2 MB');
  assert.equal(duration(63_400), '1:03');
  assert.equal(duration(3_723_000), '1:02:03');
  assert.equal(duration(-5), '0:00');
  assert.equal(clock('nonsense'), '');
});

test('every refusal has words, known code or not', () => {
  assert.match(en.error('unreachable', ''), /does not answer/);
  assert.equal(en.error('brand_new', 'What the server says.'), 'What the server says.');
  assert.match(en.error('brand_new', ''), /brand_new/);
  for (const problem of ['denied', 'missing', 'busy', 'insecure', 'failed']) {
    assert.match(en.deviceProblem(['camera'], problem), /camera/);
    assert.match(en.deviceProblem(['microphone', 'camera'], problem), /microphone (or|and) camera/);
  }
});

test('the words that outside tests rely on stay', () => {
  assert.deepEqual(
    [en.preJoin.name, en.preJoin.join, en.chat.message, en.chat.send, en.people.copyJoinLink, en.people.mute('Bob'), en.people.remove('Bob')],
    ['Your name', 'Join', 'Message', 'Send', 'Copy join link', 'Mute Bob', 'Remove Bob'],
  );
  assert.deepEqual([en.meeting.share, en.meeting.stopSharing], ['Share screen', 'Stop sharing']);
  const { mute, unmute, cameraOff, cameraOn, chat, people, record, stopRecording, leave, recording } = en.meeting;
  assert.deepEqual(
    [mute, unmute, cameraOff, cameraOn, chat, people, record, stopRecording, leave, recording],
    ['Mute', 'Unmute', 'Camera off', 'Camera on', 'Chat', 'People', 'Record', 'Stop recording', 'Leave', 'This meeting is being recorded.'],
  );
});

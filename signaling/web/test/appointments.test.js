import assert from 'node:assert/strict';
import { test } from 'node:test';
import { span } from '../js/text/format.js';
import { onTheWall, proposed } from '../js/ui/appointment.js';
import { inOrder } from '../js/ui/start.js';

const meeting = (subject, more) => ({ subject, createdDateTime: '2026-11-01T08:00:00Z', isLive: false, ...more });

test('what goes on stands first, then what comes soonest, then what was last', () => {
  const meetings = [
    meeting('long ago', { createdDateTime: '2026-10-01T08:00:00Z' }),
    meeting('next week', { startDateTime: '2026-11-30T10:00:00Z', endDateTime: '2026-11-30T11:00:00Z' }),
    meeting('yesterday', { startDateTime: '2026-11-23T10:00:00Z', endDateTime: '2026-11-23T11:00:00Z' }),
    meeting('live', { isLive: true }),
    meeting('lately', {}),
    meeting('tomorrow', { startDateTime: '2026-11-25T10:00:00Z' }),
    meeting('has begun', { startDateTime: '2026-11-24T10:00:00Z', endDateTime: '2026-11-24T13:00:00Z' }),
  ];
  const order = inOrder(meetings, Date.parse('2026-11-24T12:00:00Z')).map(({ subject }) => subject);
  assert.deepEqual(order, ['live', 'has begun', 'tomorrow', 'next week', 'yesterday', 'lately', 'long ago']);
});

test('a new appointment begins at the next half hour that one can still get to, and takes half an hour', () => {
  const at = (time) => {
    const { starts, ends } = proposed(Date.parse(time));
    return [starts.toISOString(), ends.toISOString()];
  };
  assert.deepEqual(at('2026-11-24T09:10:00Z'), ['2026-11-24T09:30:00.000Z', '2026-11-24T10:00:00.000Z']);
  assert.deepEqual(at('2026-11-24T09:26:00Z'), ['2026-11-24T10:00:00.000Z', '2026-11-24T10:30:00.000Z']);
});

test('the form shows and takes the time of the clock on the wall', () => {
  const date = new Date(2026, 2, 4, 5, 6);
  assert.equal(onTheWall(date), '2026-03-04T05:06');
  assert.equal(new Date(onTheWall(date)).getTime(), date.getTime());
});

test('a span says the year when it is another one, and nothing of nonsense', () => {
  assert.match(span('2036-11-24T10:00:00Z', '2036-11-24T11:00:00Z'), /2036/);
  assert.doesNotMatch(span(`${new Date().getFullYear()}-06-24T10:00:00Z`), /20\d\d/);
  assert.equal(span('nonsense'), '');
});

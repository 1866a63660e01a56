/** The impaired link by its own time: exact where sockets can only be measured on one side. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lane, PROFILES } from './lane.mjs';

/** Puts datagrams of 1,250 octets on a lane, one every so many ms. */
function carry(impairment, { seed = 5, count = 2_000, everyMs = 5 } = {}) {
  const lane = new Lane(seed);
  lane.impair(impairment);
  const sent = Array.from({ length: count }, (_, n) => ({ at: n * everyMs, ...lane.carry(n * everyMs, 1_250) }));
  const count_ = (fate) => sent.filter((one) => one.fate === fate).length;
  return { lane, sent, arrivals: sent.flatMap(({ arrivals }) => arrivals), count: count_ };
}

const ascends = (numbers) => numbers.every((number, at) => at === 0 || numbers[at - 1] <= number);

test('a clear lane carries everything at once', () => {
  const { sent } = carry({});
  assert.ok(sent.every(({ at, arrivals }) => arrivals.length === 1 && arrivals[0] === at));
});

test('a lane of one megabit carries one megabit, and its queue is used to the last and not further', () => {
  // Twice as much is offered, for ten seconds; 1,250 octets are 10 ms.
  const { lane, sent, arrivals, count } = carry({ rateKbps: 1_000, queueMs: 250 });
  assert.equal(arrivals.filter((at) => at <= 10_000).length, 1_000);
  assert.ok(ascends(arrivals));
  assert.equal(sent.findIndex(({ fate }) => fate === 'overflowed'), 51);
  assert.equal(lane.longestWaitMs, 250);
  assert.equal(count('lost'), 0);
  const wide = carry({ rateKbps: 2_000, queueMs: 250 });
  assert.equal(wide.count('passes'), 2_000);
  assert.equal(wide.lane.longestWaitMs, 0);
});

test('what waits, and how long most of it waited, is known', () => {
  // Datagrams of 10 ms, five times a second one and each eighth time ten at once: the last of those finds no room.
  const lane = new Lane(1);
  assert.equal(lane.waitOf(0.95), null, 'no bottleneck, no wait');
  lane.impair({ rateKbps: 1_000, queueMs: 85 });
  for (let n = 0; n < 800; n += 1) {
    const now = n * 200;
    for (let burst = 0; burst < (n % 8 === 0 ? 10 : 1); burst += 1) lane.carry(now, 1_250);
    assert.equal(lane.queueAt(now), n % 8 === 0 ? 90 : 10);
    assert.equal(lane.queueAt(now + 199), 0);
  }
  assert.equal(lane.waitOf(0.4), 0);
  assert.equal(lane.waitOf(0.5), 10);
  assert.equal(lane.waitOf(0.95), 85, 'who found no room would have waited for all of it');
});

test('loss and bursts have their shares, and bursts their length', () => {
  const many = { count: 200_000, everyMs: 1 };
  const single = carry({ loss: 0.1 }, many).count('lost') / 200_000;
  assert.ok(Math.abs(single - 0.1) < 0.005, `${single}`);
  const { sent, count } = carry({ bursts: { share: 0.05, length: 4 } }, many);
  const runs = sent.filter(({ fate }, at) => fate === 'lost' && sent[at + 1]?.fate !== 'lost').length;
  assert.ok(Math.abs(count('lost') / 200_000 - 0.05) < 0.005, `${count('lost')}`);
  assert.ok(Math.abs(count('lost') / runs - 4) < 0.2, `${count('lost') / runs}`);
});

test('jitter stays within its bound, uses all of it, and keeps order', () => {
  const { sent, arrivals } = carry({ delayMs: 20, jitterMs: 30 }, { count: 10_000, everyMs: 1 });
  assert.ok(ascends(arrivals));
  const extra = sent.map((one) => one.arrivals[0] - one.at - 20).sort((a, b) => a - b);
  assert.ok(extra[0] >= 0 && extra.at(-1) <= 30);
  assert.ok(extra[500] < 5 && extra[9_500] > 25, `${extra[500]}, ${extra[9_500]}`);
});

test('jitter that may reorder does, within its bound', () => {
  const { sent, arrivals } = carry({ jitterMs: 30, reorder: true });
  const overtaken = arrivals.filter((at, n) => n > 0 && at < arrivals[n - 1]).length;
  assert.ok(overtaken > 400, `${overtaken}: each has a jitter of its own`);
  assert.ok(sent.every(({ at, arrivals: [arrival] }) => arrival >= at && arrival <= at + 30));
});

test('a seed is a run', () => {
  const random = { loss: 0.1, bursts: { share: 0.05, length: 4 }, jitterMs: 20, duplicates: 0.1 };
  const bad = { ...random, rateKbps: 1_500, queueMs: 100 };
  assert.deepEqual(carry(bad).sent, carry(bad).sent);
  assert.notDeepEqual(carry(bad).sent, carry(bad, { seed: 6 }).sent);
});

test('the profiles are as bad as they say', () => {
  const expected = { A: [10, 0, 0], B: [25, 10, 0.01], C: [75, 30, 0.05], D: [25, 0, 0.1], D20: [25, 0, 0.2] };
  assert.deepEqual(Object.keys(PROFILES), Object.keys(expected));
  for (const [name, [delayMs, jitterMs, share]] of Object.entries(expected)) {
    for (const direction of ['up', 'down']) {
      const { count, sent } = carry(PROFILES[name][direction], { count: 100_000 });
      assert.ok(Math.abs(count('lost') / 100_000 - share) < 0.006, `${name}: ${count('lost')}`);
      const delays = sent.flatMap(({ at, arrivals }) => arrivals.map((arrival) => arrival - at)).sort((a, b) => a - b);
      assert.ok(Math.abs(delays[0] - delayMs) < 0.5, `${name}: ${delays[0]} ms`);
      assert.ok(Math.abs(delays.at(-1) - delayMs - jitterMs) < 0.5, `${name}: ${delays.at(-1)} ms`);
    }
  }
});

/**
 * Bad input against the whole server: the torture messages of RFC 4475, floods from strangers and from a trunk gone mad, and messages without
 * end. What is to be answered is, the rest gets silence and is counted; and all the while Ada's page hears a telephone without a gap.
 *
 * ```text
 * baresip ─RTP─> the server ─RTP─> Ada's page: judged over every test
 * 127.0.0.1 lab: a telephone system as it should be      127.0.0.3 mad: one that floods
 * 127.0.0.4 line: one by TCP                             127.0.0.9: nobody
 * ```
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startPhone } from './kit/baresip.mjs';
import { watchTone } from './kit/ear.mjs';
import { startFlood } from './kit/flood.mjs';
import { TONES } from './kit/media.mjs';
import { createMeeting, hears, join, openOrganiser, sdpSeen, selfOf } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { freePort } from './kit/ports.mjs';
import { overflowed, rss } from './kit/process.mjs';
import { openSound } from './kit/rtp.mjs';
import { playScenario } from './kit/sipp.mjs';
import { openTalker } from './kit/talker.mjs';
import { CALL, CLOSED, TORTURE, WAITS } from './kit/torture.mjs';
import { dialInOf, lineOf, startPhoneServer } from './kit/trunk.mjs';
import { report, until } from './kit/wait.mjs';

/** Persons whose voices are these tones. */
const [ADA, PHONE, CALLER] = [0, 2, 4];
const [MAD, LINE, STRANGER] = ['127.0.0.3', '127.0.0.4', '127.0.0.9'];
/** What the page may miss of the telephone: nothing on a machine that has nothing else to do, but one that is busy has gaps of its own. */
const GAP_MAX_MS = 1_000;
const CONCEALED_MAX = 0.2;
/** What everything together may cost the server's memory: what is remembered of a trunk's requests for 32 s (RFC 3261 §17) is most of it. */
const GROWTH_MAX_MIB = 64;
/** Requests a second, for so many ms and until others were served meanwhile. */
const FLOOD = { rate: 5_000, ms: 2_500 };
/** What one trunk may send (`Limits` of the stack): messages a second, at once, and connections at a time. */
const [RATE, AT_ONCE, CONNECTIONS] = [1_000, 2_000, 32];
/** Calls at a time of the trunk that goes mad. It leaves room for others, as an operator would see to. */
const MAD_SESSIONS = 5;
/** Connections all in all, and in one go: what goes beyond the listener's queue (128 on some systems) may never be handed to the server, and stays open. */
const [MANY_CONNECTIONS, IN_ONE_GO] = [1_000, 50];
/** The most that a stream took in the test that ends it, of which the system's own queues have the greater part. */
const ENDLESS_MAX = 8 << 20;

let server;
let ada;
let phone;
let tcp;
let idle;

before(async () => {
  const port = await freePort();
  tcp = await freePort();
  const trunks = [
    { name: 'lab', host: '127.0.0.1', port },
    { name: 'mad', host: MAD, port: 9, sessions: MAD_SESSIONS },
    { name: 'line', host: LINE, port: 9, transport: 'tcp' },
  ];
  server = await startPhoneServer({ trunks, phone: { tcp: `127.0.0.1:${tcp}` } });
  [ada, phone] = await Promise.all([openOrganiser(server, { person: ADA, words: true }), startPhone({ number: '+4930555199', port, tone: TONES[PHONE] })]);
  const meeting = await createMeeting(ada, 'Hostile', { lobbyBypassSettings: { scope: 'organization', isDialInBypassEnabled: true } });
  const { conferenceId } = await dialInOf(ada, meeting);
  await join(ada, meeting.joinWebUrl, 'Ada');
  const call = phone.dial(lineOf(server));
  await call.answered();
  await call.hears(['conference-id']);
  await phone.press(`${conferenceId}#`);
  await hears(ada, PHONE);
  idle = rss(server.pid);
}, { timeout: 60_000 });

after(async () => {
  phone?.end();
  await ada?.close();
  await server?.stop();
}, { timeout: 30_000 });

const count = (name, labels) => counted(server, name, labels);
const dropped = (why) => count('sip_dropped_total', { why });
const scenario = (name, sound) => playScenario({ scenario: name, to: server.sip, keys: { media_ip: '127.0.0.1', sound: sound?.port ?? 9, codecs: '0 101' } });
const talker = (transport, from) => openTalker({ transport, from, to: transport === 'UDP' ? server.sip : tcp });

/** What of some counters was added since. */
async function since(figures) {
  const entries = Object.entries(figures);
  const begun = await Promise.all(entries.map(([, read]) => read()));
  return async () => Object.fromEntries(await Promise.all(entries.map(async ([name, read], n) => [name, (await read()) - begun[n]])));
}

/** A test through which the meeting goes on as if nothing were, and after which nothing of it is left. */
function undisturbed(what, act) {
  test(what, { timeout: 60_000 }, async (t) => {
    const connection = async () => [await selfOf(ada), await sdpSeen(ada), await ada.page.evaluate(() => window.plenum.pc.connectionState)];
    const [began, stop] = [await connection(), await watchTone(ada, TONES[PHONE])];
    await act(t);
    const { longestGap, concealed, seconds } = await stop();
    report(t, `the telephone at the page, over ${seconds.toFixed(1)} s: longest gap`, longestGap);
    report(t, 'audibly made up', (100 * concealed).toFixed(2), '%');
    report(t, 'memory on top of idle', rss(server.pid) - idle, `MiB of ${Math.round(idle)}`);
    assert.deepEqual(await connection(), began, 'the page has the same place and the same connection, and negotiated nothing');
    assert.ok(longestGap <= GAP_MAX_MS, `${longestGap} ms without the telephone`);
    assert.ok(concealed <= CONCEALED_MAX, `${concealed} of the sound was made up`);
    assert.ok(rss(server.pid) - idle <= GROWTH_MAX_MIB, `${rss(server.pid) - idle} MiB`);
    await until('the telephone alone in the server', async () => (await count('sip_calls')) === 1 && (await count('sip_legs')) === 1);
  });
}

/** A call of an ordinary trunk: it is answered and hears the greeting. */
async function aCallGetsThrough(t, when) {
  const sound = await openSound({ tone: TONES[CALLER] });
  const began = performance.now();
  const made = await scenario('call', sound);
  try {
    await sound.hears(['welcome', 'conference-id']);
    report(t, `a call ${when}: until it was greeted`, performance.now() - began);
    await made.next();
    await made.done();
  } finally {
    sound.close();
    made.end();
  }
}

/** Says one torture message. @returns {Promise<{probes: number, calls: number}>} what was asked besides */
async function torture(transport, { name, gets, streams, bytes }) {
  const one = await talker(transport, transport === 'TCP' ? LINE : undefined);
  try {
    const wanted = transport === 'TCP' ? streams : gets;
    await one.send(bytes(one));
    if (wanted === CLOSED) {
      await until(`${name}: the end of the connection`, () => one.closed);
      assert.deepEqual(one.answers(), [], name);
      return { probes: 0, calls: 0 };
    }
    if (wanted === WAITS) {
      const other = await talker(transport, LINE);
      assert.equal(await other.probe(), 200);
      other.close();
      assert.deepEqual([one.answers(), one.closed], [[], false], name);
      return { probes: 1, calls: 0 };
    }
    assert.equal(await one.probe(), 200, name);
    assert.equal(one.answers()[0]?.code ?? null, wanted, `${name} by ${transport}`);
    const calls = await one.hangUp();
    assert.ok(wanted !== CALL || calls === 1, `${name}: ${calls} calls`);
    return { probes: 1, calls };
  } finally {
    one.close();
  }
}

for (const transport of ['UDP', 'TCP']) {
  undisturbed(`every message of RFC 4475 by ${transport} gets its code, is a call, or gets silence, and is counted`, async (t) => {
    const added = await since({ requests: () => count('sip_requests_total'), malformed: () => dropped('malformed'), unreadable: () => dropped('unreadable') });
    const expected = { requests: 0, malformed: 0, unreadable: 0 };
    for (const one of TORTURE) {
      const { probes, calls } = await torture(transport, one);
      // What a stream cannot even be cut at has no head that could be malformed.
      const counts = transport === 'TCP' && one.streams === CLOSED ? 'unreadable' : one.counts;
      if (counts && !(transport === 'TCP' && one.streams === WAITS)) expected[counts] += 1;
      // Each call was ended by a BYE. Of two messages in one stream the second counts, too.
      expected.requests += probes + calls + (transport === 'TCP' && one.name === 'dblreq' ? 1 : 0);
    }
    assert.deepEqual(await added(), expected);
    report(t, 'messages', TORTURE.length, `of them ${expected.malformed} malformed and ${expected.unreadable} unreadable`);
    await (await scenario('options')).done();
    await aCallGetsThrough(t, 'after them');
  });
}

/**
 * Floods with one method while an ordinary trunk calls, and until it was greeted.
 * @returns {Promise<import('./kit/flood.mjs').Flooded & Record<string, number>>} what was sent and answered, and what the server counted of it
 */
async function flooded(t, from, method) {
  const added = await since({
    strange: () => dropped('source'),
    above: () => dropped('rate'),
    served: () => count('sip_requests_total', { method }),
    overflow: () => overflowed(server.sip),
  });
  const flood = await startFlood({ from, to: server.sip, method, rate: FLOOD.rate });
  const began = performance.now();
  let said;
  try {
    await aCallGetsThrough(t, `through ${method} from ${from}`);
    await until('the time of the flood', () => performance.now() - began >= FLOOD.ms);
  } finally {
    said = await flood.stop();
  }
  report(t, `${method} from ${from}`, said.sent / said.seconds, `a second, answered ${JSON.stringify(said.answers)}`);
  const own = method === 'INVITE' ? 1 : 0;
  let counts;
  // Each that was sent is in one of these, or the system had no room for it: nothing vanishes.
  await until('every request to be counted', async () => {
    counts = await added();
    const { strange, above, served, overflow } = counts;
    if (strange + above + served - own + overflow < said.sent) throw new Error(JSON.stringify([counts, said.sent]));
    return true;
  });
  report(t, 'counted as', JSON.stringify(counts), '');
  return { ...said, ...counts, served: counts.served - own };
}

undisturbed('a stranger’s flood gets total silence and is counted, and a trunk’s calls get through', async (t) => {
  for (const method of ['INVITE', 'REGISTER', 'OPTIONS']) {
    const { sent, answers, strange, above, served, overflow } = await flooded(t, STRANGER, method);
    assert.deepEqual(answers, {}, 'not one answer');
    assert.deepEqual([above, served], [0, 0]);
    // What the system had no room for may have been others'.
    assert.ok(strange <= sent && strange >= sent - overflow, `${strange} of ${sent} counted as a stranger's`);
  }
});

undisturbed('a trunk gone mad is served within its rate, the rest is dropped and counted, and other trunks’ calls get through', async (t) => {
  const codes = { INVITE: ['100', '200', '503'], REGISTER: ['405'], OPTIONS: ['200'] };
  for (const method of ['INVITE', 'REGISTER', 'OPTIONS']) {
    const { seconds, answers, strange, above, served } = await flooded(t, MAD, method);
    assert.equal(strange, 0);
    assert.ok(above > 0, 'the rest is dropped');
    // A second on top, as the two clocks do not begin together.
    assert.ok(served > 0 && served <= AT_ONCE + RATE * (seconds + 1), `${served} served in ${seconds} s`);
    for (const code of Object.keys(answers)) assert.ok(codes[method].includes(code), `${method} was answered ${code}`);
    assert.ok(Object.values(answers).reduce((sum, one) => sum + one, 0) >= RATE, 'what was within the rate is answered');
    if (method === 'INVITE') assert.equal(answers[100], MAD_SESSIONS, 'as many calls as the trunk may have');
  }
  await until('no session of it', async () => (await count('sip_trunk_sessions', { trunk: 'mad' })) === 0);
});

/** A request with something after its own headers, which nothing ends. */
const endless = (more) => `OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK-e;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: endless\r\nCSeq: 1 OPTIONS\r\n${more}`;

undisturbed('what is too large gets nothing, is counted and takes no memory, by datagram and by stream', async (t) => {
  const unreadable = await since({ unreadable: () => dropped('unreadable') });
  const tooMuch = [
    endless(`Subject: ${'x'.repeat(5_000)}\r\nContent-Length: 0\r\n\r\n`),
    endless(`${'A: b\r\n'.repeat(1_000)}Content-Length: 0\r\n\r\n`),
    endless(`Subject: ${'x'.repeat(59_000)}\r\nContent-Length: 0\r\n\r\n`),
    endless('A'.repeat(60_000)),
    'x'.repeat(60_000),
  ];
  const lab = await talker('UDP');
  for (const bytes of tooMuch) await lab.send(bytes);
  assert.equal(await lab.probe(), 200);
  assert.deepEqual(lab.answers(), []);
  lab.close();

  // What can be cut out of a stream is dropped alone; the next message in it is served.
  const line = await talker('TCP', LINE);
  for (const bytes of tooMuch.slice(0, 2)) await line.send(bytes);
  assert.equal(await line.probe(), 200);
  assert.deepEqual(line.answers(), []);
  line.close();

  const unending = [`Subject: ${'x'.repeat(100_000)}\r\nContent-Length: 0\r\n\r\n`, 'Content-Length: 99999999\r\n\r\n', 'X-More: and more\r\n', 'x'];
  for (const more of unending) {
    const stream = await talker('TCP', LINE);
    let written = 0;
    await stream.send(endless(more));
    await until(`the end of a stream of ${more.slice(0, 10)}`, async () => {
      if (!stream.closed) await Promise.race([stream.send(more.padEnd(8_000, more)), new Promise((done) => setTimeout(done, 200))]);
      written += 8_000;
      return stream.closed;
    });
    report(t, `a stream of ${JSON.stringify(more.slice(0, 18))} ended within`, written / 1_000, 'kB');
    assert.ok(written <= ENDLESS_MAX, `${written} bytes were taken`);
    assert.deepEqual(stream.answers(), []);
    stream.close();
  }
  await until('all of them to be counted', async () => (await unreadable()).unreadable === tooMuch.length + 2 + unending.length);
});

undisturbed('of a thousand connections a stranger gets none and a trunk its share, and the next is served', async (t) => {
  for (const [from, why, share] of [[STRANGER, 'source', 0], [LINE, 'connections', CONNECTIONS]]) {
    const counts = await since({ [why]: () => dropped(why) });
    const many = [];
    const open = () => many.filter(({ closed }) => !closed);
    while (many.length < MANY_CONNECTIONS) {
      many.push(...(await Promise.all(Array.from({ length: IN_ONE_GO }, () => talker('TCP', from)))));
      await until(`the rest of ${many.length} from ${from} to be cut and counted`, async () => {
        const kept = open().length;
        if (kept > share || (await counts())[why] !== many.length - kept) throw new Error(`${kept} open, ${JSON.stringify(await counts())}`);
        return true;
      });
    }
    report(t, `of ${MANY_CONNECTIONS} connections of ${from}, open`, open().length, '');
    // Connections of the test before may not all have been over.
    assert.ok(open().length >= share / 2, `${open().length} open`);
    for (const one of open()) assert.equal(await one.probe(), 200, 'who is in is served');
    for (const one of many) {
      assert.deepEqual(one.answers(), []);
      one.close();
    }
  }
  await until('the next connection to be served', async () => {
    const one = await talker('TCP', LINE);
    await one.say('OPTIONS', [`From: <sip:+4989777@${LINE}>;tag=n`, 'To: <sip:+493012345@127.0.0.1>', `Call-ID: next-${one.port}`]);
    await until('an answer or the end', () => one.closed || one.answers().length > 0);
    const is = !one.closed;
    one.close();
    return is;
  });
});

/**
 * What telephone systems say that a telephone would not: the scenarios of tests/phone, played by SIPp against the whole server, with sound
 * of the test's own. After each the meeting goes on: Ada is in it with her page, and a phone that was there before.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, afterEach, before, test } from 'node:test';
import { beginnings, hearPackets, judgeDelays, watchTone } from './kit/ear.mjs';
import { TONES } from './kit/media.mjs';
import { createMeeting, hears, join, openOrganiser, press, routeMedia } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { freePort } from './kit/ports.mjs';
import { startProxy } from './kit/proxy.mjs';
import { openSound, PCMA, PCMU, rtp } from './kit/rtp.mjs';
import { NO_SOUND, openCaller } from './kit/sip.mjs';
import { playScenario } from './kit/sipp.mjs';
import { amplitude, share } from './kit/sound.mjs';
import { dialInOf, startPhoneServer } from './kit/trunk.mjs';
import { report, until } from './kit/wait.mjs';

/** Persons whose voices are these tones. */
const [ADA, PHONE, OTHER, STRANGER] = [0, 2, 4, 5];
/** What the server may add to one way, from packet to packet. */
const DELAY_MAX_MS = 100;
/** Of a telephone at the page; a busy machine has gaps of its own. */
const GAP_MAX_MS = 500;

let server;
/** Between Ada's page and the server, to see when her packets leave. */
let proxy;
let sees = () => {};
let ada;
let dialIn;

before(async () => {
  const port = await freePort();
  server = await startPhoneServer({ trunks: [{ name: 'lab', host: '127.0.0.1', port }] });
  [ada, proxy] = await Promise.all([
    openOrganiser(server, { person: ADA, words: true }),
    startProxy({ udpTarget: server.port, sees: (direction, packet) => sees(direction, packet) }),
  ]);
  await routeMedia(ada, proxy.udpPort);
  const meeting = await createMeeting(ada, 'Interop', { lobbyBypassSettings: { scope: 'organization', isDialInBypassEnabled: true } });
  dialIn = await dialInOf(ada, meeting);
  await join(ada, meeting.joinWebUrl, 'Ada');
}, { timeout: 60_000 });

after(async () => {
  await ada?.close();
  proxy?.close();
  await server?.stop();
}, { timeout: 30_000 });

/** Nothing of a call is left, in the meeting and in the server. */
afterEach(async () => {
  await until('no phone in the meeting', async () => (await phones()).length === 0);
  await until('no call in the server', async () => (await counted(server, 'sip_calls')) === 0 && (await counted(server, 'sip_legs')) === 0);
}, { timeout: 30_000 });

const phones = () => ada.page.evaluate(() => window.plenum.state().participants.filter(({ kind }) => kind === 'phone'));
const seated = () => until('the phone in the meeting', async () => (await phones()).length === 1);
const count = (name, labels) => counted(server, name, labels);
const scenario = (name, sound, more = {}) => playScenario({ scenario: name, to: server.sip, ...more, keys: { media_ip: '127.0.0.1', sound: sound?.port ?? 9, codecs: '0 101', ...more.keys } });
const hearsAda = (sound) => until('Ada at the phone', async () => share(await sound.next(0.5), TONES[ADA]) > 0.5);

/** A call that is in the meeting: SIPp speaks, and this is its sound. */
async function inTheMeeting(t, { name = 'call', voice = PHONE, payloadType = PCMU, codecs = '0 101' } = {}) {
  const sound = await openSound({ tone: TONES[voice], payloadType });
  const call = await scenario(name, sound, { keys: { codecs } });
  t.after(() => {
    sound.close();
    call.end();
  });
  await sound.hears(['conference-id']);
  await sound.press(`${dialIn.conferenceId}#`);
  await Promise.all([hears(ada, voice), hearsAda(sound)]);
  return { call, sound };
}

async function hangUp({ call }) {
  await call.next();
  await call.done();
}

test('from packet to packet a mix adds little, from the page to a phone and from a phone to another one', { timeout: 60_000 }, async (t) => {
  const [one, other] = [await inTheMeeting(t), await inTheMeeting(t, { voice: OTHER })];
  const packets = await hearPackets(ada);
  sees = packets.sees;
  const said = await one.sound.words(8);
  sees = () => {};
  const ways = [
    ['from a phone to a phone', said, beginnings(other.sound.levels(TONES[PHONE]))],
    ['from the page to a phone', beginnings(packets.levels), beginnings(other.sound.levels(TONES[ADA]))],
  ];
  for (const [way, from, to] of ways) {
    const [fastest] = judgeDelays(t, way, from, to);
    assert.ok(fastest <= DELAY_MAX_MS, `${way}: ${fastest} ms`);
  }
  await hangUp(one);
  await hangUp(other);
});

test('an INVITE without an offer; hold is answered and silent both ways, and ends', { timeout: 60_000 }, async (t) => {
  const { call, sound } = await inTheMeeting(t, { name: 'hold' });
  await call.next();
  await until('nothing to be sent on hold', async () => {
    const before = sound.received;
    await new Promise((done) => setTimeout(done, 300));
    return sound.received === before;
  });
  sound.talk(false);
  await until('silence at the page', async () => !(await ada.page.evaluate(() => window.__kit.heard())).includes(PHONE));
  assert.equal((await phones()).length, 1, 'who is on hold is still in');
  sound.talk(true);
  await call.next();
  await Promise.all([hears(ada, PHONE), hearsAda(sound)]);
  await hangUp({ call });
});

test('keys by INFO enter the conference id; REFER and unknown methods are refused, OPTIONS is answered, and the call goes on', { timeout: 60_000 }, async (t) => {
  const sound = await openSound({ tone: TONES[PHONE] });
  const keys = Object.fromEntries([...`${dialIn.conferenceId}#`].map((key, n) => [`key${n}`, key]));
  const call = await scenario('info', sound, { keys });
  t.after(() => {
    sound.close();
    call.end();
  });
  await sound.hears(['conference-id']);
  await call.next();
  await seated();
  await Promise.all([hears(ada, PHONE), hearsAda(sound)]);
  await hangUp({ call });
});

test('a CANCEL that crosses the 200 does nothing, and one on the heels of the INVITE is answered in whatever order', { timeout: 60_000 }, async (t) => {
  await (await scenario('crossing')).done();
  const calls = 20;
  const before = await count('sip_requests_total');
  const answers = await takenBack(calls);
  report(t, 'of those taken back at once, before their answer', answers.filter((code) => code === 487).length, `of ${calls}`);
  assert.ok(answers.every((code) => code === 487 || code === 200), `${answers}`);
  assert.ok((await count('sip_requests_total')) - before >= 2 * calls);
});

/**
 * Calls and takes it back in the same breath; hangs up where the answer was faster.
 * @returns {Promise<number[]>} the answers to each INVITE
 */
async function takenBack(calls) {
  const caller = await openCaller(server.sip);
  const finals = [];
  for (let n = 0; n < calls; n += 1) {
    const call = caller.call(`breath-${n}`);
    call.send('INVITE', 1, { body: NO_SOUND });
    call.send('CANCEL', 1);
    const { code, tag } = await call.answer('INVITE');
    finals.push(code);
    call.send('ACK', 1, { tag, branch: code === 200 ? 'ack' : undefined });
    if (code !== 200) continue;
    call.send('BYE', 2, { tag, branch: 'bye' });
    await call.answer('BYE');
  }
  caller.close();
  return finals;
}

test('an INVITE that comes twice is one call, and its answer one', { timeout: 30_000 }, async (t) => {
  const before = await count('sip_calls_total');
  const caller = await openCaller(server.sip);
  t.after(() => caller.close());
  const call = caller.call('twice');
  call.send('INVITE', 1, { body: NO_SOUND });
  call.send('INVITE', 1, { body: NO_SOUND });
  const { code, tag } = await call.answer('INVITE');
  assert.equal(code, 200);
  // And once more after the answer, as if that had been lost.
  call.send('INVITE', 1, { body: NO_SOUND });
  await until('the answer again', () => call.answers('INVITE').length >= 2);
  assert.deepEqual([...new Set(call.answers('INVITE').map((answer) => answer.tag))], [tag]);
  await until('one call', async () => (await count('sip_calls')) === 1);
  call.send('ACK', 1, { tag, branch: 'ack' });
  call.send('BYE', 2, { tag, branch: 'bye' });
  assert.equal((await call.answer('BYE')).code, 200);
  assert.equal((await count('sip_calls_total')) - before, 1);
});

test('OPTIONS without a call is answered', { timeout: 30_000 }, async () => {
  await (await scenario('options')).done();
});

test('headers that are none get a 400, what is too large or no message gets nothing, and what comes then is served', { timeout: 60_000 }, async (t) => {
  const { sound, call } = await inTheMeeting(t);
  await (await scenario('malformed')).done();
  const before = await count('sip_dropped_total');
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const answers = [];
  socket.on('message', (bytes) => answers.push(String(bytes)));
  const head = (more) => `OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-large;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: large\r\nCSeq: 1 OPTIONS\r\n${more}\r\n`;
  const wrong = [
    head(`Subject: ${'x'.repeat(5_000)}\r\n`),
    head('X-Much: more\r\n'.repeat(300)),
    head(`Subject: ${'x'.repeat(30)}\r\n`.repeat(600)),
    'no message at all\r\n\r\n',
    '\u0000'.repeat(400),
  ];
  for (const bytes of wrong) await new Promise((done) => socket.send(bytes, server.sip, '127.0.0.1', done));
  await until('all of them to be dropped', async () => (await count('sip_dropped_total')) >= before + wrong.length);
  assert.deepEqual(answers, []);
  await (await scenario('options')).done();
  await Promise.all([hears(ada, PHONE), hearsAda(sound)]);
  await hangUp({ call });
});

test('sound that is not what SDP said is dropped and counted, and the sound that was said is heard', { timeout: 60_000 }, async (t) => {
  const before = { payload_type: await count('sip_packets_dropped_total', { why: 'payload_type' }), malformed: await count('sip_packets_dropped_total', { why: 'malformed' }) };
  const { sound, call } = await inTheMeeting(t, { payloadType: PCMA, codecs: '8 101' });
  sound.talk(false);
  await until('silence at the page', async () => !(await ada.page.evaluate(() => window.__kit.heard())).includes(PHONE));
  const [payload, ssrc] = [Buffer.alloc(160, 0x2a), 0x4c_49_45_53];
  const lies = (n) => [
    rtp(96, n, 160 * n, ssrc, payload),
    rtp(9, n + 1, 160 * n, ssrc, payload),
    rtp(PCMA, n + 2, 160 * n, ssrc, Buffer.alloc(0)),
    Buffer.from([0x80, PCMA, 0, 1]),
    Buffer.alloc(172, 0xff),
    // Fifteen sources that contribute, and no room for them; an extension longer than the packet.
    Buffer.concat([Buffer.from([0x8f]), rtp(PCMA, n + 3, 160 * n, ssrc, Buffer.alloc(8)).subarray(1)]),
    Buffer.concat([Buffer.from([0x90]), rtp(PCMA, n + 4, 160 * n, ssrc, Buffer.from([0xbe, 0xde, 0xff, 0xff])).subarray(1)]),
  ];
  for (let n = 0; n < 30; n += 1) for (const lie of lies(8 * n)) sound.raw(lie);
  sound.talk(true);
  await Promise.all([hears(ada, PHONE), hearsAda(sound)]);
  await hangUp({ call });
  for (const [why, least] of [['payload_type', 40], ['malformed', 40]]) {
    await until(`so many of ${why}`, async () => (await count('sip_packets_dropped_total', { why })) - before[why] >= least);
  }
});

test('of a telephone that loses a twentieth the page misses hardly anything, nothing waits, and the loss is told', { timeout: 60_000 }, async (t) => {
  const before = { lost: await count('sip_packets_lost_total'), received: await count('sip_packets_received_total') };
  const [lossy, other] = [await inTheMeeting(t), await inTheMeeting(t, { voice: OTHER })];
  lossy.sound.loses(20);
  const stop = await watchTone(ada, TONES[PHONE]);
  await lossy.sound.next(8);
  const { longestGap, concealed, seconds } = await stop();
  report(t, `the telephone at the page, over ${seconds.toFixed(1)} s: longest gap`, longestGap);
  report(t, 'audibly made up', (100 * concealed).toFixed(2), '%');
  assert.ok(longestGap <= GAP_MAX_MS && concealed < 0.15, 'nothing stalls, and what is lost is made up');
  // What had to wait for the lost would be late by now.
  const said = await lossy.sound.words(5);
  const [fastest] = judgeDelays(t, 'from it to another phone after that', said, beginnings(other.sound.levels(TONES[PHONE])));
  assert.ok(fastest <= DELAY_MAX_MS, `${fastest} ms`);
  await hangUp(lossy);
  await until('the loss to be counted', async () => (await count('sip_packets_lost_total')) > before.lost);
  await hangUp(other);
  await until('both to be counted', async () => (await count('sip_calls')) === 0);
  const [lost, received] = [(await count('sip_packets_lost_total')) - before.lost, (await count('sip_packets_received_total')) - before.received];
  report(t, 'lost, as counted, of all that both sent', `${lost} of ${lost + received}`, '');
  // Twelve seconds of fifty packets, of which every twentieth did not come, besides what was said before.
  assert.ok(lost >= 25 && lost <= 45, `${lost}`);
});

test('a storm of keys is not followed, and the call and the meeting outlive it', { timeout: 60_000 }, async (t) => {
  const { sound, call } = await inTheMeeting(t);
  const [first] = await phones();
  // A thousand keys at once, each its own event: stars and sixes, which mute, and unmute.
  for (let n = 0; n < 1_000; n += 1) {
    const timestamp = 900_000 + n * 800;
    sound.raw(rtp(101, 20_000 + n, timestamp, 0x4b_45_59_53, Buffer.from([n % 2 ? 6 : 10, 0x8a, 0x03, 0x20]), true));
  }
  await until('the meeting to hear the phone again', async () => {
    const [one] = await phones();
    if (one.microphoneMuted) await sound.press('*6');
    return !one.microphoneMuted && (await ada.page.evaluate(() => window.__kit.heard())).includes(PHONE);
  });
  assert.equal((await phones())[0].id, first.id);
  await hearsAda(sound);
  await hangUp({ call });
});

test('sound from a stranger’s address is heard by nobody', { timeout: 60_000 }, async (t) => {
  const before = await count('sip_packets_dropped_total', { why: 'stranger' });
  const { sound, call } = await inTheMeeting(t);
  const stranger = await openSound({ tone: TONES[STRANGER] });
  stranger.peer = sound.peer;
  const heard = new Set();
  await sound.next(0.1);
  const from = sound.position;
  await until('two seconds', async () => {
    for (const person of await ada.page.evaluate(() => window.__kit.heard())) heard.add(person);
    return sound.position > from + 16_000;
  });
  stranger.close();
  assert.ok(!heard.has(STRANGER) && heard.has(PHONE), `${[...heard]}`);
  assert.equal(stranger.received, 0, 'and hears nothing');
  assert.ok(amplitude(sound.heard(from), TONES[STRANGER]) < 0.002);
  await hangUp({ call });
  await until('them to be counted', async () => (await count('sip_packets_dropped_total', { why: 'stranger' })) - before >= 80);
});

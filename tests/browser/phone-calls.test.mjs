/**
 * Real telephones in a real meeting: baresip calls, keys the conference id, is heard and hears, is muted, waits, is put out; by UDP and
 * by TLS with encrypted sound. Ada is there with her page, and what she and the phone hear is judged by pitch, loudness and time.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { startPhone } from './kit/baresip.mjs';
import { makeCertificate } from './kit/certificate.mjs';
import { beginnings, buffered, judgeDelays, listen } from './kit/ear.mjs';
import { TONES } from './kit/media.mjs';
import { createMeeting, hears, join, openOrganiser, press } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { freePort } from './kit/ports.mjs';
import { tones } from './kit/recorded.mjs';
import { amplitude, decibels, levels, loudness, PHONE_RATE, rms, share, speechDb } from './kit/sound.mjs';
import { dialInOf, lineOf, startPhoneServer } from './kit/trunk.mjs';
import { now, report, until } from './kit/wait.mjs';

/** Persons whose voices are these tones. */
const [ADA, PHONE, OTHER] = [0, 2, 4];
const NUMBER = '+4930555199';
const MASKED = '+49••••••99';
/** From the answer to the first sound. */
const GREETING_MAX_MS = 2_000;
/** From the last key to the roster of the others. */
const SEAT_MAX_MS = 500;
/** What the server may add to one way. */
const DELAY_MAX_MS = 100;
const LEVEL_MAX_DB = 3;
/** What every voice in a mix is brought to. */
const MIX_DB = -23;
/** Lets everybody in who dials. */
const OPEN = { lobbyBypassSettings: { scope: 'organization', isDialInBypassEnabled: true } };

let server;
let ada;
let phone;
let meeting;
let dialIn;
let call;

before(async () => {
  const port = await freePort();
  server = await startPhoneServer({ trunks: [{ name: 'lab', host: '127.0.0.1', port }] });
  [ada, phone] = await Promise.all([openOrganiser(server, { person: ADA, words: true }), startPhone({ number: NUMBER, port, tone: TONES[PHONE] })]);
  meeting = await createMeeting(ada, 'Phones', OPEN);
  dialIn = await dialInOf(ada, meeting);
  await join(ada, meeting.joinWebUrl, 'Ada');
  await press(ada, 'People');
}, { timeout: 60_000 });

after(async () => {
  phone?.end();
  await ada?.close();
  await server?.stop();
}, { timeout: 30_000 });

/** Those on the phone, as Ada's page knows them. */
const phonesOf = ({ page }) => page.evaluate(() => window.plenum.state().participants.filter(({ kind }) => kind === 'phone'));
const onThePhone = (viewer, what, is = () => true, options) => until(what, async () => (await phonesOf(viewer)).find(is), options);
const gone = (viewer) => until('the phone to be gone from the page', async () => (await phonesOf(viewer)).length === 0);
const heardByAda = () => ada.page.evaluate(() => window.__kit.heard());

/** Dials, and keys the conference id. */
async function dialIntoMeeting(who = phone, id = dialIn.conferenceId) {
  const made = who.dial(lineOf(server));
  await made.answered();
  await made.hears(['welcome', 'conference-id']);
  await who.press(`${id}#`);
  return made;
}

test('a phone calls, is greeted, keys the conference id and is in', { timeout: 60_000 }, async (t) => {
  call = phone.dial(lineOf(server));
  const answered = await call.answered();
  const first = await until('a first sound', () => rms(call.heard()) > 0 && call.heard().some((sample) => Math.abs(sample) > 0.05) && now());
  report(t, 'from the answer to the first sound', first - answered);
  assert.ok(first - answered <= GREETING_MAX_MS, `${first - answered} ms`);
  await call.hears(['welcome', 'conference-id']);
  // Watched in the page itself, so that asking costs nothing.
  const arrival = ada.page.evaluate(() => new Promise((done) => {
    const timer = setInterval(() => {
      if (!window.plenum.state().participants.some(({ kind }) => kind === 'phone')) return;
      clearInterval(timer);
      done(performance.timeOrigin + performance.now());
    }, 2);
  }));
  const keyed = await phone.press(`${dialIn.conferenceId}#`);
  const seated = (await arrival) - keyed;
  report(t, 'from the last key to the roster of the page', seated);
  assert.ok(seated <= SEAT_MAX_MS, `${seated} ms`);
  await call.hears(['joined']);
});

test('the page shows the number masked, with the sign of a phone, and the server tells it nobody whole', { timeout: 30_000 }, async () => {
  const one = await onThePhone(ada, 'the phone');
  assert.equal(one.displayName, MASKED);
  const row = ada.page.locator(`[data-person-id="${one.id}"]`);
  await row.getByText('On the phone').first().waitFor();
  assert.equal(await row.locator('.face svg').count(), 1);
  server.canaries.add(NUMBER);
  server.canaries.add(NUMBER.slice(1));
  server.canaries.add(dialIn.conferenceId);
});

test('both hear each other, as loud as it was said, and not themselves', { timeout: 60_000 }, async (t) => {
  await hears(ada, PHONE);
  // The mix brings every voice to the same loudness within some seconds.
  await call.next(4);
  const [own, theirs] = await Promise.all([listen(ada, { from: 'microphone', tone: TONES[ADA], ms: 3_000 }), listen(ada, { from: 'others', tone: TONES[PHONE], ms: 3_000 }), call.next(3)]);
  const [heard, said] = [call.heard().slice(-3 * PHONE_RATE), call.said().slice(-3 * PHONE_RATE)];
  const toPage = decibels(loudness(theirs), loudness(levels(said, TONES[PHONE])));
  const toPhone = speechDb(heard);
  report(t, 'the phone at the page, against what it said', toPage, 'dB');
  report(t, 'the page at the phone, against what its microphone sent', decibels(loudness(levels(heard, TONES[ADA])), loudness(own)), 'dB');
  report(t, 'the page at the phone', toPhone, `dBFS, and the mix brings all to ${MIX_DB}`);
  assert.ok(Math.abs(toPage) <= LEVEL_MAX_DB, `${toPage} dB`);
  assert.ok(Math.abs(toPhone - MIX_DB) <= LEVEL_MAX_DB, `${toPhone} dBFS`);
  assert.ok(share(heard, TONES[ADA]) > 0.8, 'the phone hears Ada, and hardly anything else');
  assert.ok(decibels(amplitude(heard, TONES[PHONE]), amplitude(said, TONES[PHONE])) < -45, 'and not itself');
  assert.ok(!(await heardByAda()).includes(ADA));
});

test('what begins at the phone begins at the page a tenth of a second later at most', { timeout: 60_000 }, async (t) => {
  const stop = call.watch('enc', TONES[PHONE]);
  const from = await buffered(ada);
  let listens = true;
  const listening = listen(ada, { from: 'others', tone: TONES[PHONE], ms: 6_000 }).finally(() => (listens = false));
  // A mark: the voice stops, and begins again.
  for (let stopped = false; listens || stopped; stopped = !stopped) {
    phone.mute();
    await call.next(0.4);
  }
  const there = beginnings(await listening);
  const to = await buffered(ada);
  // The page plays what its jitter buffer has held for a while.
  const held = (1_000 * (to.delay - from.delay)) / (to.emitted - from.emitted);
  report(t, 'of that in the buffer of the browser', held);
  const [added] = judgeDelays(t, 'from the phone to the page', beginnings(stop()), there).map((ms) => ms - held);
  assert.ok(added <= DELAY_MAX_MS, `${added} ms`);
  await hears(ada, PHONE);
});

test('two phones hear each other, and neither itself', { timeout: 60_000 }, async () => {
  const other = await startPhone({ number: '+4930555200', tone: TONES[OTHER] });
  try {
    const theirs = await dialIntoMeeting(other);
    await theirs.hears(['joined']);
    await until('each other', async () => share(await theirs.next(0.5), TONES[PHONE]) > 0.3 && share(call.heard().slice(-PHONE_RATE / 2), TONES[OTHER]) > 0.3);
    await hears(ada, OTHER);
    assert.ok(share(theirs.heard().slice(-2 * PHONE_RATE), TONES[OTHER]) < 0.01, 'nobody hears themselves');
  } finally {
    other.hangUp();
    await until('one phone to be gone', async () => (await phonesOf(ada)).length === 1);
    other.end();
  }
});

test('*6 mutes and *3 raises the hand, as the page shows; the page mutes the phone, which is told', { timeout: 60_000 }, async () => {
  const silence = () => until('silence at the page', async () => !(await heardByAda()).includes(PHONE));
  let from = call.position();
  await phone.press('*6');
  const { id } = await onThePhone(ada, 'the phone to be muted', ({ microphoneMuted }) => microphoneMuted);
  await call.hears(['muted'], from);
  await silence();
  const packets = call.position('enc');
  assert.deepEqual((await Promise.all([listen(ada, { from: 'others', tone: TONES[PHONE], ms: 1_000 }), call.next(1, 'enc')]))[0].filter(({ level }) => level > 0.01), [], 'not a sound, though it goes on talking');
  assert.ok(amplitude(call.said(packets), TONES[PHONE]) > 0.1, 'and it does');
  from = call.position();
  await phone.press('*6');
  await onThePhone(ada, 'the phone not to be muted', ({ microphoneMuted }) => !microphoneMuted);
  await call.hears(['unmuted'], from);
  await hears(ada, PHONE);

  from = call.position();
  await phone.press('*3');
  await onThePhone(ada, 'the hand', ({ hand }) => hand === 1);
  await call.hears(['hand-raised'], from);
  from = call.position();
  await press(ada, `Lower the hand of ${MASKED}`);
  await call.hears(['hand-lowered'], from);

  from = call.position();
  await press(ada, `Mute ${MASKED}`);
  await call.hears(['muted'], from);
  await silence();
  await phone.press('*6');
  await hears(ada, PHONE);
  assert.equal((await onThePhone(ada, 'the phone')).id, id, 'still the same');
});

test('a recording of the meeting has the phone in it, and the phone is told', { timeout: 90_000 }, async (t) => {
  const from = call.position();
  await press(ada, 'Record');
  await call.hears(['recorded'], from);
  await call.next(5);
  await press(ada, 'Stop recording');
  const cookie = (await ada.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const ask = async (url) => (await fetch(`${server.url}${url}`, { headers: { cookie } })).json();
  const recording = await until('the recording', async () => {
    const { value: [one] } = await ask(`/v1/onlineMeetings/${meeting.id}/recordings`);
    const { tracks, ...rest } = await ask(`/v1/recordings/${one.id}`);
    return tracks?.some(({ displayName }) => displayName === MASKED) && rest.status !== 'recording' && { ...rest, tracks };
  }, { timeout: 30_000 });
  const track = recording.tracks.find(({ displayName, kind }) => displayName === MASKED && kind === 'microphone');
  const file = path(server.data, 'phone.webm');
  writeFileSync(file, Buffer.from(await (await fetch(`${server.url}/v1/recordings/${recording.id}/tracks/${track.number}/content`, { headers: { cookie } })).arrayBuffer()));
  const { shares, seconds } = await tones(file);
  report(t, 'the phone’s track', `${seconds.toFixed(1)} s, its tone in ${Math.round(shares[PHONE] * 100)} %`, '');
  assert.ok(seconds > 4 && shares[PHONE] > 0.8, `${seconds} s, ${shares}`);
  assert.ok(shares[ADA] < 0.05, 'and nobody else');
});

test('removed from the page, the phone hears so, and the call ends', { timeout: 60_000 }, async () => {
  const from = call.position();
  await press(ada, `Remove ${MASKED}`);
  await press(ada, 'Remove');
  await gone(ada);
  await call.hears(['removed', 'goodbye'], from);
  await call.ended();
});

test('where dialling in does not let one by, the phone waits until it is let in', { timeout: 60_000 }, async () => {
  const strict = await createMeeting(ada, 'Strict', { lobbyBypassSettings: { scope: 'organizer' } });
  const { conferenceId } = await dialInOf(ada, strict);
  await join(ada, strict.joinWebUrl, 'Ada');
  const waiting = await dialIntoMeeting(phone, conferenceId);
  await waiting.hears(['lobby', 'hold']);
  await ada.page.getByRole('button', { name: `Admit ${MASKED}` }).waitFor();
  assert.deepEqual(await phonesOf(ada), []);
  const heard = await waiting.next(1);
  assert.ok(share(heard, TONES[ADA]) < 0.05, 'nothing of what goes on inside');
  await press(ada, `Admit ${MASKED}`);
  await onThePhone(ada, 'the phone');
  await waiting.hears(['joined']);
  await Promise.all([hears(ada, PHONE), until('Ada at the phone', async () => share(await waiting.next(0.5), TONES[ADA]) > 0.5)]);
  phone.hangUp();
  await gone(ada);

  const denied = await dialIntoMeeting(phone, conferenceId);
  await denied.hears(['lobby']);
  await press(ada, `Deny ${MASKED}`);
  await denied.hears(['not-let-in', 'goodbye']);
  await denied.ended();
});

test('before anybody is in, the PIN of the organiser begins the meeting', { timeout: 60_000 }, async () => {
  const early = await createMeeting(ada, 'Early', { lobbyBypassSettings: { scope: 'organizer' } });
  const { conferenceId, organizerPin } = await dialInOf(ada, early);
  const organiser = await dialIntoMeeting(phone, conferenceId);
  await organiser.hears(['organizer-pin']);
  await phone.press('00000#');
  await organiser.hears(['wrong-pin', 'organizer-pin']);
  await phone.press(`${organizerPin}#`);
  await organiser.hears(['joined']);
  await join(ada, early.joinWebUrl, 'Ada');
  const { role } = await onThePhone(ada, 'the phone that began it');
  assert.equal(role, 'organizer');
  await hears(ada, PHONE);
  phone.hangUp();
  await gone(ada);
});

test('three wrong conference ids end the call; after ten of one number nothing of it is looked at', { timeout: 90_000 }, async () => {
  const stranger = await startPhone({ number: '+4930555666' });
  for (let calls = 0; calls < 3; calls += 1) {
    const tries = stranger.dial(lineOf(server));
    await tries.hears(['welcome']);
    for (const said of [['wrong-id'], ['wrong-id', 'wrong-id'], ['wrong-id', 'wrong-id', 'wrong-id', 'goodbye']]) {
      await stranger.press('1#');
      await tries.hears(said);
    }
    await tries.ended();
  }
  const tenth = stranger.dial(lineOf(server));
  await tenth.hears(['welcome']);
  await stranger.press('1#');
  await tenth.hears(['wrong-id']);
  await stranger.press(`${dialIn.conferenceId}#`);
  await tenth.hears(['too-many-tries', 'goodbye']);
  await tenth.ended();
  const next = await dialIntoMeeting(stranger);
  await next.hears(['too-many-tries', 'goodbye']);
  await next.ended();
  assert.ok(!next.prompts().includes('wrong-id'));
  stranger.end();
});

test('how the calls ended is counted, each by its reason', async () => {
  const ends = (reason) => counted(server, 'sip_calls_ended_total', { direction: 'in', reason });
  const expected = { removed: 1, not_let_in: 1, wrong_id: 3, locked_out: 2, hung_up: 3, silent: 0, failed: 0 };
  for (const [reason, times] of Object.entries(expected)) await until(`${times} of ${reason}`, async () => (await ends(reason)) === times);
  await until('no call to be left', async () => (await counted(server, 'sip_calls')) === 0);
});

test('who calls from an address that is no trunk’s gets no answer at all', { timeout: 30_000 }, async () => {
  const strangers = () => counted(server, 'sip_dropped_total', { why: 'source' });
  const dropped = await strangers();
  const requests = await counted(server, 'sip_requests_total');
  const outside = await startPhone({ number: '+4930555777', address: '127.0.0.2' });
  const calls = outside.dial(lineOf(server));
  await until('it to be dropped, and sent again', async () => (await strangers()) >= dropped + 3);
  assert.equal(calls.isOver, false, 'it does not even hear that nobody wants it');
  assert.deepEqual(outside.events.map(({ type }) => type), ['CALL_LOCAL_SDP']);
  assert.equal(await counted(server, 'sip_requests_total'), requests);
  outside.end();
});

test('telephones of all codecs hear each other and the page, and are heard', { timeout: 90_000 }, async (t) => {
  const room = await createMeeting(ada, 'Codecs', OPEN);
  const { conferenceId } = await dialInOf(ada, room);
  await join(ada, room.joinWebUrl, 'Ada');
  const kinds = [['PCMA', 2, 8_000], ['G722', 4, 16_000], ['opus', 5, 48_000]];
  const all = await Promise.all(kinds.map(async ([codecs, voice]) => {
    const telephone = await startPhone({ number: `+49305552${voice}0`, tone: TONES[voice], codecs });
    t.after(() => telephone.end());
    return { codecs, voice, telephone, call: await dialIntoMeeting(telephone, conferenceId) };
  }));
  assert.deepEqual(all.map(({ call: theirs }) => theirs.rate), kinds.map(([, , rate]) => rate), 'each has its own');
  await Promise.all(all.map(({ voice }) => hears(ada, voice)));
  await Promise.all(all.map(async ({ codecs, voice, call: theirs }) => {
    const others = [ADA, ...kinds.map(([, one]) => one).filter((one) => one !== voice)];
    await until(`everybody at the telephone of ${codecs}`, async () => {
      const heard = await theirs.next(0.5);
      const shares = others.map((one) => share(heard, TONES[one]));
      if (shares.some((one) => one < 0.08)) throw new Error(shares.join());
      return true;
    });
    assert.ok(share(await theirs.next(1), TONES[voice]) < 0.01, `${codecs}: nobody hears themselves`);
  }));
  for (const { telephone } of all) telephone.hangUp();
  await gone(ada);
});

test('by TLS, with sound that must be encrypted, both hear each other', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(path(tmpdir(), 'plenum-tls-'));
  const made = makeCertificate(folder, 'DNS:localhost,IP:127.0.0.1');
  const [port, tls] = [await freePort(), await freePort()];
  const secure = await startPhoneServer({
    trunks: [{ name: 'lab', host: '127.0.0.1', port, transport: 'tls', tls_ca: made.certificate, tls_server_name: 'localhost', srtp: 'required' }],
    phone: { tls: `127.0.0.1:${tls}`, tls_certificate: made.certificate, tls_key: made.key },
  });
  const caller = await startPhone({ number: NUMBER, port, tone: TONES[PHONE], transport: 'tls', certificate: made.both, mediaenc: 'srtp-mand' });
  const host = await openOrganiser(secure, { person: ADA, words: true });
  try {
    const safe = await createMeeting(host, 'Secure', OPEN);
    const { conferenceId } = await dialInOf(host, safe);
    await join(host, safe.joinWebUrl, 'Ada');
    const encrypted = caller.dial(`sip:+493012345@127.0.0.1:${tls}`);
    await encrypted.answered();
    await encrypted.hears(['welcome', 'conference-id']);
    await caller.press(`${conferenceId}#`);
    await onThePhone(host, 'the phone');
    await Promise.all([hears(host, PHONE), until('Ada at the phone', async () => share(await encrypted.next(0.5), TONES[ADA]) > 0.5)]);
    caller.hangUp();
    await gone(host);
    // The same without encryption is turned away.
    const plain = await startPhone({ number: NUMBER, tone: TONES[PHONE], transport: 'tls', certificate: made.both });
    const refused = plain.dial(`sip:+493012345@127.0.0.1:${tls}`);
    assert.match(await refused.ended(), /488/);
    plain.end();
    assert.equal(await counted(secure, 'sip_calls_refused_total'), 1);
  } finally {
    caller.end();
    await host.close();
    await secure.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

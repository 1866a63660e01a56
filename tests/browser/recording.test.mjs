/**
 * A recording of two people: everybody knows, each track holds that person's picture and sound, and strangers get no byte.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { join as path } from 'node:path';
import { openBrowser } from './kit/browser.mjs';
import { full } from './kit/env.mjs';
import { createMeeting, hears, join, openOrganiser, press, seesMotion, selfOf } from './kit/meeting.mjs';
import { LOOP } from './kit/paint.mjs';
import { pictures, probe, times, tones } from './kit/recorded.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

const RECORD_MS = full ? 600_000 : 8_000;
/** From Stop recording to the link in the chat, behind which the whole of it stands. */
const READY_MAX_MS = 10_000;

let server;
let ada;
let bob;
let meeting;
let cookie;
let recording;
const people = {};

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  cookie = (await ada.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  meeting = await createMeeting(ada, 'Recorded');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await join(bob, meeting.joinWebUrl, 'Bob');
  await Promise.all([seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0), hears(ada, 1), hears(bob, 0)]);
  people.Ada = { id: await selfOf(ada), person: 0 };
  people.Bob = { id: await selfOf(bob), person: 1 };
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const recordingAt = ({ page }) => page.evaluate(() => window.plenum.state().recording?.state);
const content = (n) => `${server.url}/v1/recordings/${recording.id}/tracks/${n}/content`;
const asOrganiser = (url, headers = {}) => fetch(url, { headers: { cookie, ...headers } });

test('a guest has no button to record', async () => {
  assert.equal(await bob.page.getByRole('button', { name: 'Record', exact: true }).count(), 0);
});

test('the organiser records; everybody sees it; a link stands in the chat when it is ready', { timeout: RECORD_MS + 60_000 }, async (t) => {
  await press(ada, 'Record');
  await until('everybody to know', async () => (await recordingAt(ada)) === 'on' && (await recordingAt(bob)) === 'on');
  await bob.page.getByText(/being recorded/i).first().waitFor();
  const started = performance.now();
  await until('enough to be recorded', () => performance.now() - started > RECORD_MS, { timeout: RECORD_MS + 10_000 });
  await press(ada, 'Stop recording');
  const stopped = performance.now();
  await until('the end for everybody', async () => (await recordingAt(bob)) === 'off');
  await press(ada, 'Chat');
  const link = ada.page.locator('a[href*="/recordings/"]');
  await link.first().waitFor({ timeout: 30_000 });
  const ready = performance.now() - stopped;
  report(t, `link in the chat after Stop recording of ${RECORD_MS / 1000} s`, ready);
  assert.ok(ready <= READY_MAX_MS, `ready after ${Math.round(ready)} ms`);
  assert.match(await link.first().getAttribute('href'), /\/v1\/recordings\/rec_\w+|\/recordings\/rec_\w+/);
});

test('the organiser lists it with two tracks a person', { timeout: 30_000 }, async () => {
  const answer = await asOrganiser(`${server.url}/v1/onlineMeetings/${meeting.id}/recordings`);
  assert.equal(answer.status, 200);
  const { value } = await answer.json();
  assert.equal(value.length, 1);
  recording = await (await asOrganiser(`${server.url}/v1/recordings/${value[0].id}`)).json();
  const names = recording.tracks.map(({ displayName, kind }) => `${displayName} ${kind}`).sort();
  assert.deepEqual(names, ['Ada camera', 'Ada microphone', 'Bob camera', 'Bob microphone']);
});

test('each track passes ffprobe and holds that person\'s picture or sound', { timeout: RECORD_MS + 60_000 }, async (t) => {
  for (const { number, displayName, kind, contentType } of recording.tracks) {
    const answer = await asOrganiser(content(number));
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), contentType);
    const file = path(server.data, `track-${number}.webm`);
    writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
    const { streams } = await probe(file);
    const { person } = people[displayName];
    const stamps = await times(file);
    assert.deepEqual(stamps.filter((stamp, n) => n > 0 && !(stamp > stamps[n - 1])), [], 'time goes forward from frame to frame');
    if (kind === 'camera') {
      assert.equal(streams[0].codec_name, 'vp8');
      const { codes, errors } = await pictures(file);
      const readable = codes.filter(Boolean);
      report(t, `${displayName} camera`, `${readable.length} of ${codes.length}`, 'pictures readable');
      const gaps = stamps.slice(1).map((stamp, n) => stamp - stamps[n]);
      report(t, `${displayName} camera`, `${stamps[0].toFixed(2)} to ${stamps.at(-1).toFixed(2)} s, longest gap ${Math.max(...gaps).toFixed(2)} s`, '');
      assert.equal(errors, '', 'decodes without complaint');
      assert.ok(readable.length > 60 && readable.length >= codes.length * 0.95, 'a moving picture for the whole time');
      assert.ok(readable.every((code) => code.person === person), `only ${displayName}`);
      const steps = readable.slice(1).map(({ counter }, n) => (counter - readable[n].counter + LOOP) % LOOP);
      assert.ok(steps.filter((step) => step <= 3).length >= steps.length * 0.9, `the counter rises: ${steps}`);
    } else {
      assert.equal(streams[0].codec_name, 'opus');
      const { shares, seconds } = await tones(file);
      report(t, `${displayName} microphone`, `${seconds.toFixed(1)} s, own tone in ${Math.round(shares[person] * 100)} %`, '');
      assert.ok(seconds > (RECORD_MS / 1000) * 0.8 && seconds < (RECORD_MS / 1000) * 2);
      assert.ok(shares[person] > 0.6, `the tone of ${displayName}`);
      assert.ok(shares.every((share, other) => other === person || share < 0.05), `only ${displayName}: ${shares}`);
    }
  }
});

test('a Range request gives the exact slice, and the ETag tells an unchanged track', { timeout: 30_000 }, async () => {
  const url = content(recording.tracks[0].number);
  const whole = await asOrganiser(url);
  const bytes = Buffer.from(await whole.arrayBuffer());
  const etag = whole.headers.get('etag');
  assert.ok(etag);
  for (const [range, from, to] of [['bytes=100-299', 100, 300], ['bytes=0-0', 0, 1], [`bytes=${bytes.length - 50}-`, bytes.length - 50, bytes.length], ['bytes=-10', bytes.length - 10, bytes.length]]) {
    const slice = await asOrganiser(url, { range });
    assert.equal(slice.status, 206, range);
    assert.equal(slice.headers.get('content-range'), `bytes ${from}-${to - 1}/${bytes.length}`);
    assert.deepEqual(Buffer.from(await slice.arrayBuffer()), bytes.subarray(from, to), range);
  }
  const beyond = await asOrganiser(url, { range: `bytes=${bytes.length}-` });
  assert.equal(beyond.status, 416);
  await beyond.arrayBuffer();
  assert.equal((await asOrganiser(url, { 'if-none-match': etag })).status, 304);
});

test('a stranger gets 401, or 404 as if there were none, and no byte', { timeout: 30_000 }, async () => {
  const other = await createMeeting(ada, 'Another meeting');
  const ticket = await (await fetch(`${server.url}/v1/join`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ joinWebUrl: other.joinWebUrl, displayName: 'Nosy' }),
  })).json();
  const credentials = [
    [{}, 401],
    [{ authorization: 'Bearer nonsense' }, 401],
    [{ authorization: `Bearer ${ticket.token}` }, 404],
    [{ cookie: 'plenum_session=forged' }, 401],
  ];
  for (const [headers, expected] of credentials) {
    for (const url of [content(recording.tracks[0].number), `${server.url}/v1/recordings/${recording.id}`, `${server.url}/v1/onlineMeetings/${meeting.id}/recordings`]) {
      const answer = await fetch(url, { headers });
      assert.equal(answer.status, expected, `${url} with ${Object.keys(headers)}`);
      assert.match(answer.headers.get('content-type'), /json/);
      assert.match((await answer.json()).error.code, /^[a-z_]+$/);
    }
  }
});

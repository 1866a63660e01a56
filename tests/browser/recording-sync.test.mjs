/**
 * A recording keeps sound and picture together: what a real browser captured at one moment lies at one time in its tracks and in the composed
 * recording.
 *
 * Somebody marks each second: a picture with a certain counter, and a short tone that begins with it. ffmpeg decodes the files, and what lies
 * between such a picture and the beginning of its tone is the skew.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { openBrowser } from './kit/browser.mjs';
import { full } from './kit/env.mjs';
import { createMeeting, join, openOrganiser, press } from './kit/meeting.mjs';
import { FPS } from './kit/paint.mjs';
import { painted } from './kit/painted.mjs';
import { pictures, times } from './kit/recorded.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { report, until } from './kit/wait.mjs';

const run = promisify(execFile);
const RECORD_MS = full ? 120_000 : 15_000;
/** In ms, either way: ITU-R BT.1359 finds that nobody notices less. */
const SKEW_MAX = 45;
const RATE = 48_000;

let server;
let ada;
let bob;
let cookie;
let recording;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({})]);
  cookie = (await ada.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const meeting = await createMeeting(ada, 'In step');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await bob.context.addInitScript({ content: painted() });
  const client = await openStranger(bob.page, server.url);
  const { token } = (await client.join(meeting.joinWebUrl, 'Bob')).body;
  await client.connect(token);
  await client.offer({ audio: 'painted', video: 'painted', person: 1 });
  await until('Bob to send', async () => (await client.state()).media === 'connected');
  // Ada's own tone and picture would be in the mix, too.
  for (const name of ['Mute', 'Turn camera off']) {
    const button = ada.page.getByRole('button', { name, exact: true });
    if (await button.count()) await button.click();
  }
  await client.page.evaluate(() => window.stranger.painted.mark(true));
  await press(ada, 'Record');
  await until('the recording', async () => (await ada.page.evaluate(() => window.plenum.state().recording?.state)) === 'on');
  const started = performance.now();
  await until('enough to be recorded', () => performance.now() - started > RECORD_MS, { timeout: RECORD_MS + 10_000 });
  await press(ada, 'Stop recording');
  await until('the end', async () => (await ada.page.evaluate(() => window.plenum.state().recording?.state)) === 'off');
  const get = async (url) => (await fetch(`${server.url}${url}`, { headers: { cookie, accept: 'application/json' } })).json();
  const { value } = await get(`/v1/onlineMeetings/${meeting.id}/recordings`);
  await until('it to be stored', async () => (await get(`/v1/recordings/${value[0].id}`)).complete);
  recording = await get(`/v1/recordings/${value[0].id}`);
}, { timeout: RECORD_MS + 90_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

async function saved(url, name) {
  const answer = await fetch(`${server.url}${url}`, { headers: { cookie } });
  assert.equal(answer.status, 200);
  const file = path(server.data, name);
  writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
  return file;
}

/** When the pictures that mark a second are shown, in ms. */
async function seen(file) {
  const { codes, errors } = await pictures(file);
  assert.equal(errors, '', 'decodes without complaint');
  const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file]);
  const stamps = stdout.trim().split('\n').map((stamp) => Number.parseFloat(stamp) * 1000);
  return codes.flatMap((code, n) => (code?.person === 1 && code.counter % FPS === 0 && codes[n - 1]?.counter !== code.counter ? [stamps[n]] : []));
}

/** When tones begin, after at least 300 ms of silence, in ms. */
async function heard(file) {
  const [first] = await times(file).then(async () => {
    const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', 'a', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file]);
    return stdout.trim().split('\n').map(Number.parseFloat);
  });
  // aresample fills holes with silence, so that a sample's number is its time.
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-map', '0:a', '-af', 'aresample=async=1:min_hard_comp=0.01', '-f', 'f32le', '-ac', '1', '-ar', String(RATE), '-'], { encoding: 'buffer', maxBuffer: 1 << 30 });
  const samples = new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + (stdout.length & ~3)));
  const onsets = [];
  let loud = -RATE;
  for (let n = 0; n < samples.length; n += 1) {
    if (Math.abs(samples[n]) <= 0.05) continue;
    if (n - loud > 0.3 * RATE) onsets.push(first * 1000 + (n / RATE) * 1000);
    loud = n;
  }
  return onsets;
}

/** Positive when the picture comes later. */
function skews(pictureTimes, onsets) {
  return pictureTimes.flatMap((at) => {
    const [nearest] = onsets.map((onset) => at - onset).sort((a, b) => Math.abs(a) - Math.abs(b));
    return nearest !== undefined && Math.abs(nearest) < 400 ? [nearest] : [];
  });
}

function judge(t, what, all) {
  const sorted = all.toSorted((a, b) => a - b);
  report(t, what, `${all.length} marks, skew ${sorted[0]?.toFixed(0)} to ${sorted.at(-1)?.toFixed(0)} ms, median ${sorted[sorted.length >> 1]?.toFixed(0)}`, '');
  assert.ok(all.length >= RECORD_MS / 1000 / 2, 'enough marks are seen and heard');
  const median = sorted[sorted.length >> 1];
  assert.ok(Math.abs(median) <= SKEW_MAX, `median ${median}`);
  return sorted;
}

test('the composed recording shows what is heard', { timeout: 60_000 }, async (t) => {
  const file = await saved(`/v1/recordings/${recording.id}/content`, 'content.webm');
  judge(t, 'composed', skews(await seen(file), await heard(file)));
});

test('the tracks of somebody lie beside each other', { timeout: 60_000 }, async (t) => {
  const track = async (kind) => {
    const { number } = recording.tracks.find((one) => one.displayName === 'Bob' && one.kind === kind);
    return saved(`/v1/recordings/${recording.id}/tracks/${number}/content`, `sync-${kind}.webm`);
  };
  judge(t, 'tracks', skews(await seen(await track('camera')), await heard(await track('microphone'))));
});

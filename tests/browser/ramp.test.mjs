/**
 * What a browser's own statistics say of the path: the cheap cipher, an estimate that grows with our feedback, nothing repaired or
 * concealed on a clean network.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, seesPicture } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

/** A camera of 640x360 asks for 1.2 Mbit/s; Chromium starts at 0.3 and grows only while transport-wide feedback comes. */
const RAMPED_BPS = 1_100_000;

let server;
let ada;
let bob;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  const { joinWebUrl } = await createMeeting(ada);
  await join(ada, joinWebUrl, 'Ada');
  await join(bob, joinWebUrl, 'Bob');
  await Promise.all([seesPicture(ada, 'Bob', 1), hears(ada, 1)]);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Statistics of one type and, where it has one, kind. */
const stats = ({ page }, type, kind) => page.evaluate(async ([wantedType, wantedKind]) => {
  const all = [...(await window.plenum.pc.getStats()).values()];
  return all.filter((one) => one.type === wantedType && (wantedKind === null || one.kind === wantedKind));
}, [type, kind ?? null]);

test('AES-128-GCM protects the media, although Chromium would rather have another cipher', { timeout: 30_000 }, async () => {
  const [transport] = await stats(ada, 'transport');
  assert.equal(transport.srtpCipher, 'SRTP_AEAD_AES_128_GCM');
});

test('our feedback lets a camera ramp up to its full rate', { timeout: 60_000 }, async (t) => {
  const started = performance.now();
  const sent = await until('the full rate', async () => {
    const [camera] = await stats(bob, 'outbound-rtp', 'video');
    const pair = (await stats(bob, 'candidate-pair')).find((one) => one.nominated);
    if (!(camera.targetBitrate >= RAMPED_BPS && pair.availableOutgoingBitrate >= RAMPED_BPS)) {
      throw new Error(`target ${camera.targetBitrate}, available ${pair.availableOutgoingBitrate}`);
    }
    return pair.availableOutgoingBitrate;
  }, { timeout: 30_000 });
  report(t, 'full rate after both were in', performance.now() - started);
  report(t, 'estimate', Math.round(sent / 1000), 'kbit/s');
});

test('on a clean network nothing freezes and nobody is asked for key frames but at the start', { timeout: 60_000 }, async (t) => {
  const picture = await until('two hundred frames', async () => {
    const inbound = await stats(ada, 'inbound-rtp', 'video');
    return inbound.find((one) => one.framesDecoded >= 200);
  }, { timeout: 40_000 });
  const [sent] = await stats(bob, 'outbound-rtp', 'video');
  report(t, 'jitter buffer of the picture', Math.round((1000 * picture.jitterBufferDelay) / picture.jitterBufferEmittedCount));
  assert.equal(picture.freezeCount, 0);
  assert.equal(picture.pliCount, 0, 'the receiver never lost its picture');
  assert.ok(sent.keyFramesEncoded <= 3, `${sent.keyFramesEncoded} key frames`);
});

/**
 * Trains from what a real browser really sends: the packets of one picture leave together for each receiver.
 *
 * One Chromium publishes a picture of 1280 x 720 that no encoder can make small, by WHIP; another one watches it on
 * three connections, by WHEP. The server says how long its trains were, the publisher how many packets a picture had.
 *
 * No packet waits for the rest of its picture: what came while the server was busy leaves as one train. Chromium sends
 * the eleven packets of such a picture within half a millisecond, 20 to 60 microseconds apart, and a turn for three
 * receivers takes about as long. So on an idle machine one picture leaves in a single train and the next in ten pieces,
 * as the scheduler has it; on a crowded one nearly every picture leaves whole. A mean over trains counts the pieces of
 * such a picture ten times (it was 0.18 to 0.47 of a picture), hence the judgement is a mean over packets: in how long
 * a train did a packet leave?
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, openOrganiser, ticketFor } from './kit/meeting.mjs';
import { trainsSoFar } from './kit/metrics.mjs';
import { makeNoise } from './kit/noise.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';
import { openWhip } from './kit/whip.mjs';

const RECEIVERS = 3;
const CAMERA_BPS_MAX = 2_500_000;
const CAMERA_BPS_MIN = 1_500_000;
const STRETCH_MS = 10_000;

/**
 * What a packet's train must be at least, in pictures. Idle machines had 0.47 to 0.86, crowded ones 0.8 to 1; were every
 * packet sent alone, it would be 0.09.
 */
const TRAIN_MIN = 0.25;

let server;
const browsers = [];
let camera;
let audience;

before(async () => {
  server = await startServer();
  browsers.push(...await Promise.all([openOrganiser(server), openBrowser(), openBrowser()]));
  const { joinWebUrl } = await createMeeting(browsers[0], 'Trains', { canAnonymousStart: true });
  [camera, audience] = await Promise.all(browsers.slice(1).map(({ page }) => openWhip(page, server.url)));
  await makeNoise(camera.page, 25);
  await publish(await ticketFor(server, joinWebUrl, 'Camera'));
  for (let n = 0; n < RECEIVERS; n += 1) {
    const { status, answer } = await audience.play(await ticketFor(server, joinWebUrl, `Receiver ${n}`), ['video']);
    assert.equal(status, 201, answer);
  }
}, { timeout: 60_000 });

after(async () => {
  await Promise.all(browsers.map((one) => one.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** One encoding without layers, that keeps its size. */
async function publish(ticket) {
  const { status, answer } = await camera.publish(ticket, { stream: 'noise', encodings: [{ maxBitrate: CAMERA_BPS_MAX }] });
  assert.equal(status, 201, answer);
  await camera.page.evaluate(() => {
    const [sender] = window.pc.getSenders();
    return sender.setParameters(Object.assign(sender.getParameters(), { degradationPreference: 'maintain-resolution' }));
  });
}

/** The publisher's own figures. */
const outbound = () => camera.page.evaluate(async () => {
  const sent = [...(await window.pc.getStats()).values()].find(({ type }) => type === 'outbound-rtp');
  return {
    frames: sent.framesSent,
    packets: sent.packetsSent - sent.retransmittedPacketsSent,
    bytes: sent.bytesSent,
    size: `${sent.frameWidth} x ${sent.frameHeight}`,
    at: sent.timestamp,
  };
});

/** Packets and pictures that each receiver had. */
const inbound = () => audience.page.evaluate(() => Promise.all(window.__kit.connections.map(async (pc) => {
  const { packetsReceived = 0, framesDecoded = 0 } = await window.__kit.inbound('video', pc);
  return { packets: packetsReceived, frames: framesDecoded };
})));

const bitrate = (from, to) => (8000 * (to.bytes - from.bytes)) / (to.at - from.at);

/** All figures, right after the server published its own: they changed, and are not changing any more. */
async function look() {
  const old = String(await trainsSoFar(server, 'picture'));
  let last = old;
  const trains = await until('the server to publish its counters', async () => {
    const now = await trainsSoFar(server, 'picture');
    const settled = String(now) !== old && String(now) === last;
    last = String(now);
    return settled && now;
  });
  return { trains, sent: await outbound(), received: await inbound() };
}

test('packets of one picture leave together', { timeout: 40_000 }, async (t) => {
  await until('every receiver to see pictures', async () => (await inbound()).every(({ frames }) => frames > 0));
  let last = await outbound();
  await until('the camera at full rate', async () => {
    const now = await outbound();
    if (now.at - last.at < 1000) return false;
    const reached = bitrate(last, now);
    last = now;
    if (reached < CAMERA_BPS_MIN) throw new Error(`${Math.round(reached)} bit/s`);
    return true;
  }, { timeout: 20_000 });

  const from = await look();
  const started = performance.now();
  await until('the stretch to be over', () => performance.now() - started > STRETCH_MS);
  const to = await look();

  const frames = to.sent.frames - from.sent.frames;
  const packets = to.sent.packets - from.sent.packets;
  const perFrame = packets / frames;
  const trains = to.trains.map((count, at) => count - from.trains[at]);
  const sum = (each) => trains.reduce((total, count, at) => total + each(at + 1) * count, 0);
  const [departures, departed] = [sum(() => 1), sum((length) => length)];
  const mean = sum((length) => length ** 2) / departed;
  report(t, 'the camera sends', bitrate(from.sent, to.sent) / 1e6, `Mbit/s of ${to.sent.size}`);
  report(t, 'pictures', (1000 * frames) / (to.sent.at - from.sent.at), 'a second');
  report(t, 'packets a picture', perFrame.toFixed(2), '');
  report(t, 'trains of 1, 2, ... 16 packets', trains.join(' '), '');
  report(t, 'mean over trains', (departed / departures).toFixed(2), 'packets');
  report(t, 'mean over packets', mean.toFixed(2), `packets, ${(mean / perFrame).toFixed(2)} of a picture`);
  report(t, 'trains for one picture and receiver', (departures / frames / RECEIVERS).toFixed(2), '');
  assert.ok(bitrate(from.sent, to.sent) >= CAMERA_BPS_MIN, 'the camera stayed at full rate');
  for (const [at, { packets: all }] of to.received.entries()) {
    assert.ok(all - from.received[at].packets >= 0.9 * packets, `receiver ${at} had what was sent`);
  }
  const share = departed / packets / RECEIVERS;
  assert.ok(share > 0.9 && share < 1.1, 'the trains counted are those of this camera');
  assert.ok(mean >= TRAIN_MIN * perFrame, `${mean.toFixed(2)} packets a train, ${perFrame.toFixed(2)} a picture`);
});

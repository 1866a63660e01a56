/**
 * Simulcast: a camera in three layers through WHIP; whoever watches sees the highest that is sent, at every moment.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, openOrganiser, ticketFor } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

let server;
let organiser;
let encoder;
let player;
let meeting;

before(async () => {
  server = await startServer();
  [organiser, encoder, player] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser(), openBrowser()]);
  meeting = await createMeeting(organiser, 'Layers');
  for (const { page } of [encoder, player]) await page.goto(`${server.url}/healthz`);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([organiser, encoder, player].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Publishes three layers, or plays; `window.pc` stays in the page. */
const exchange = ({ page }, endpoint, token, publish) => page.evaluate(async ([url, bearer, sends]) => {
  const pc = new RTCPeerConnection();
  window.pc = pc;
  if (sends) {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
    const sendEncodings = ['q', 'h', 'f'].map((rid, at) => ({ rid, scaleResolutionDownBy: 4 / 2 ** at }));
    pc.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings });
  } else {
    const { receiver } = pc.addTransceiver('video', { direction: 'recvonly' });
    const element = document.createElement('video');
    element.muted = true;
    element.srcObject = new MediaStream([receiver.track]);
    document.body.append(element);
    element.play().catch(() => {});
  }
  await pc.setLocalDescription();
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/sdp' },
    body: pc.localDescription.sdp,
  });
  const answer = await response.text();
  if (response.status === 201) await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  return { status: response.status, answer };
}, [endpoint, token, publish]);

const send = (layers) => encoder.page.evaluate(async (count) => {
  const [sender] = window.pc.getSenders();
  const parameters = sender.getParameters();
  parameters.encodings.forEach((encoding, at) => { encoding.active = at < count; });
  await sender.setParameters(parameters);
}, layers);

const received = () => player.page.evaluate(async () =>
  [...(await window.pc.getStats()).values()].find(({ type }) => type === 'inbound-rtp'));

/** The player's picture has this width and moves. */
async function sees(width) {
  const first = await until(`a picture of ${width} pixels`, async () => {
    const stats = await received();
    return stats?.frameWidth === width && stats;
  });
  await until('motion in it', async () => (await received()).framesDecoded > first.framesDecoded + 5);
  return first;
}

test('the highest layer that is sent is seen, through every change', { timeout: 90_000 }, async (t) => {
  const camera = await ticketFor(server, meeting.joinWebUrl, 'Camera');
  const published = await exchange(encoder, camera.whipUrl, camera.token, true);
  assert.equal(published.status, 201, published.answer);
  assert.match(published.answer, /\r\na=simulcast:recv q;h;f\r\n/);
  const spectator = await ticketFor(server, meeting.joinWebUrl, 'Player');
  assert.equal((await exchange(player, spectator.whepUrl, spectator.token, false)).status, 201);
  await sees(1280);
  for (const [layers, width] of [[1, 320], [3, 1280], [2, 640], [3, 1280]]) {
    await send(layers);
    const started = performance.now();
    await sees(width);
    report(t, `${layers} layers sent, ${width} pixels seen after`, performance.now() - started);
  }
  const { framesDropped, freezeCount, totalFreezesDuration, pliCount } = await received();
  report(t, 'frozen', totalFreezesDuration * 1_000);
  // A layer that is gone is waited for, a second each of the two times; nothing else stops the picture.
  assert.ok(freezeCount <= 2 && totalFreezesDuration < 4, `${freezeCount} freezes, ${totalFreezesDuration} s`);
  assert.equal(pliCount, 0, 'the player never lost its way');
  assert.ok(framesDropped < 10, `${framesDropped} dropped`);
});

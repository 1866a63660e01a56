/**
 * Simulcast: a camera in three layers through WHIP; whoever watches sees the highest that is sent, at every moment.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, openOrganiser, ticketFor } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';
import { openWhip } from './kit/whip.mjs';

const LAYERS = {
  media: { video: { width: 1280, height: 720 } },
  encodings: ['q', 'h', 'f'].map((rid, at) => ({ rid, scaleResolutionDownBy: 4 / 2 ** at })),
};

let server;
const browsers = [];
let encoder;
let player;
let meeting;

before(async () => {
  server = await startServer();
  browsers.push(...await Promise.all([openOrganiser(server, { person: 0 }), openBrowser(), openBrowser()]));
  meeting = await createMeeting(browsers[0], 'Layers', { canAnonymousStart: true });
  [encoder, player] = await Promise.all(browsers.slice(1).map(({ page }) => openWhip(page, server.url)));
}, { timeout: 60_000 });

after(async () => {
  await Promise.all(browsers.map((one) => one.close()));
  await server?.stop();
}, { timeout: 30_000 });

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
  const published = await encoder.publish(await ticketFor(server, meeting.joinWebUrl, 'Camera'), LAYERS);
  assert.equal(published.status, 201, published.answer);
  assert.match(published.answer, /\r\na=simulcast:recv q;h;f\r\n/);
  assert.equal((await player.play(await ticketFor(server, meeting.joinWebUrl, 'Player'), ['video'])).status, 201);
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

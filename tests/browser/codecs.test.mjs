/**
 * Pictures of other codecs than VP8: an encoder changes to H.264 in the middle of a call, and one has nothing else. A page
 * that reads it sees no break; one that does not is shown nothing that it could not read.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, join, openOrganiser, ticketFor } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';
import { openWhip } from './kit/whip.mjs';

let server;
let ada;
let bob;
let encoder;
const browsers = [];
let meeting;

before(async () => {
  server = await startServer();
  browsers.push(...await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 }), openBrowser({ person: 2 })]));
  [ada, bob] = browsers;
  meeting = await createMeeting(ada, 'Codecs');
  await bob.context.addInitScript(() => {
    const original = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
    RTCRtpReceiver.getCapabilities = (kind) => {
      const all = original(kind);
      return all && { ...all, codecs: all.codecs.filter(({ mimeType }) => mimeType.toLowerCase() !== 'video/h264') };
    };
  });
  await join(ada, meeting.joinWebUrl, 'Ada');
  await join(bob, meeting.joinWebUrl, 'Bob');
  encoder = await openWhip(browsers[2].page, server.url);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all(browsers.map((one) => one.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Publishes a camera by WHIP, and ends the one before; `codec` is the only one that is offered, `scalabilityMode` its spatial layers. */
const publish = async (name, codec, scalabilityMode) => encoder.publish(await ticketFor(server, meeting.joinWebUrl, name), {
  codec,
  media: { video: scalabilityMode ? { width: 1280, height: 720 } : { width: 640, height: 360 } },
  encodings: scalabilityMode && [{ scalabilityMode, maxBitrate: 2_000_000 }],
});

/** Sends another of the codecs that were agreed on. */
const change = (mimeType) => encoder.page.evaluate(async (wanted) => {
  const [sender] = window.pc.getSenders();
  const parameters = sender.getParameters();
  parameters.encodings[0].codec = parameters.codecs.find((codec) => codec.mimeType === wanted);
  await sender.setParameters(parameters);
}, mimeType);

/** What the slots of a page receive and decode, as which codecs. */
const received = ({ page }) => page.evaluate(async () => {
  const stats = await window.plenum.pc.getStats();
  const videos = [...stats.values()].filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
  return videos.map(({ codecId, framesDecoded, freezeCount, frameWidth, mid }) =>
    ({ codec: stats.get(codecId)?.mimeType, framesDecoded, freezeCount, frameWidth, mid }));
});

/** Waits until a page decodes pictures of a codec, and says in which slot. */
async function decodes(one, codec, options) {
  let before;
  return until(`${codec} in motion`, async () => {
    const slots = await received(one);
    const [seen, earlier] = [slots.find((slot) => slot.codec === codec), before?.find((slot) => slot.codec === codec)];
    before ??= slots.some((slot) => slot.codec === codec) ? slots : undefined;
    if (!seen || !earlier || seen.framesDecoded < earlier.framesDecoded + 10) throw new Error(JSON.stringify(slots));
    return seen;
  }, options);
}

const tileOf = ({ page }, name) => page.evaluate((who) => window.__kit.tiles().find((tile) => tile.name === who), name);

/** A tile has the picture of the encoder, sharp enough to be told: right after a change it may not be for a moment. */
const shows = (one, name) => until(`the picture in the tile of ${name}`, async () => (await tileOf(one, name))?.picture?.person === 2);

test('an encoder changes its codec, and who reads it sees no break', { timeout: 90_000 }, async (t) => {
  const published = await publish('Camera');
  assert.equal(published.status, 201, published.answer);
  assert.match(published.answer, /VP8\/90000[^]*H264\/90000/, 'VP8 stands first');
  await shows(ada, 'Camera');
  await shows(bob, 'Camera');
  const before = await received(ada);
  assert.ok(before.every(({ codec }) => codec === undefined || codec === 'video/VP8'), JSON.stringify(before));
  await change('video/H264');
  const started = performance.now();
  const { mid, freezeCount } = await decodes(ada, 'video/H264');
  report(t, 'H.264 in motion after', performance.now() - started);
  await shows(ada, 'Camera');
  assert.equal(freezeCount, before.find((slot) => slot.mid === mid).freezeCount, 'nothing stood still');
  await until('Bob to be sent none of it', async () => !(await tileOf(bob, 'Camera'))?.live || !(await tileOf(bob, 'Camera'))?.picture);
  assert.ok((await received(bob)).every(({ codec }) => codec !== 'video/H264'), 'which he never agreed on');
  await change('video/VP8');
  await shows(bob, 'Camera');
  for (const codec of ['video/VP9', 'video/AV1', 'video/VP8']) {
    await change(codec);
    const changed = performance.now();
    await decodes(ada, codec, { timeout: 25_000 });
    report(t, `${codec} in motion after`, performance.now() - changed);
    await shows(ada, 'Camera');
  }
  const after = await decodes(ada, 'video/VP8');
  report(t, 'freezes at Ada', after.freezeCount, '');
});

test('an encoder that has nothing but H.264 is seen', { timeout: 60_000 }, async () => {
  const published = await publish('Studio', 'video/H264');
  assert.equal(published.status, 201, published.answer);
  assert.doesNotMatch(published.answer, /VP8/);
  await shows(ada, 'Studio');
  // The picture of before, of the same fake camera, may still be there.
  await decodes(ada, 'video/H264');
});

/** How wide the picture is that a page gets of somebody. */
const widthOf = async (one, name) => {
  const tile = await tileOf(one, name);
  return (await received(one)).find(({ mid }) => mid === tile?.mid)?.frameWidth;
};

/** Waits until the picture of somebody has another width, and moves. */
const becomes = (one, name, what, fits) => until(`${name} ${what}`, async () => {
  const width = await widthOf(one, name);
  if (!fits(width)) throw new Error(`${width} pixels`);
  return width;
});

for (const codec of ['video/VP9', 'video/AV1']) test(`of one ${codec} stream in spatial layers a page gets those that its tile is made for`, { timeout: 90_000 }, async (t) => {
  const name = `Layers of ${codec.slice(6)}`;
  const published = await publish(name, codec, 'L3T3_KEY');
  assert.equal(published.status, 201, published.answer);
  assert.equal(/dependency-descriptor/.test(published.answer), codec === 'video/AV1', 'VP9 tells its layers by itself');
  await ada.page.setViewportSize({ width: 1600, height: 1000 });
  await until('the layers at Ada', async () => (await tileOf(ada, name))?.picture?.person === 2);
  const wide = await becomes(ada, name, 'to be wide', (width) => width >= 640);
  const asked = () => encoder.page.evaluate(async () => [...(await window.pc.getStats()).values()].find(({ type }) => type === 'outbound-rtp').pliCount);
  await until('the start to be over', async () => {
    const before = await asked();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    return before === (await asked());
  });
  const before = await asked();
  await ada.page.setViewportSize({ width: 400, height: 700 });
  let started = performance.now();
  const narrow = await becomes(ada, name, 'to be narrower', (width) => width < wide);
  report(t, `from ${wide} pixels to ${narrow} after`, performance.now() - started);
  assert.equal(await asked(), before, 'a step down costs no key frame');
  await shows(ada, name);
  await ada.page.setViewportSize({ width: 1600, height: 1000 });
  started = performance.now();
  const again = await becomes(ada, name, 'to be wide again', (width) => width >= wide);
  report(t, `back to ${again} pixels after`, performance.now() - started);
});

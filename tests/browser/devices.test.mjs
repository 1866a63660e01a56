/**
 * Without devices, or without permission: join to listen, be told why, and add a camera later without a new offer.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, press, sdpSeen, seesMotion } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let bob;
let cyn;
let meeting;

before(async () => {
  server = await startServer();
  [ada, bob, cyn] = await Promise.all([
    openOrganiser(server, { person: 0 }),
    openBrowser({ person: 1, allow: false }),
    openBrowser({ args: ['--use-fake-device-for-media-stream=device-count=0'] }),
  ]);
  // Chromium's fake device takes the camera away, but not the microphone.
  await cyn.context.addInitScript(() => {
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      if (constraints.audio) throw new DOMException('Requested device not found', 'NotFoundError');
      return ask(constraints);
    };
  });
  meeting = await createMeeting(ada, 'Devices');
  await join(ada, meeting.joinWebUrl, 'Ada');
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob, cyn].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

test('who says no to camera and microphone is told so, and joins to listen', { timeout: 60_000 }, async () => {
  await bob.page.goto(meeting.joinWebUrl);
  await until('the reason on the page', async () => /camera|microphone/i.test(await bob.page.locator('body').innerText()));
  await join(bob, meeting.joinWebUrl, 'Bob');
  await Promise.all([seesMotion(bob, 'Ada', 0), hears(bob, 0)]);
  await bob.page.getByRole('button', { name: 'Unmute', exact: true }).waitFor();
  await bob.page.getByRole('button', { name: 'Camera on', exact: true }).waitFor();
});

test('the camera is added later without an offer of anybody', { timeout: 60_000 }, async () => {
  const before = await Promise.all([sdpSeen(ada), sdpSeen(bob)]);
  await bob.context.grantPermissions(['camera', 'microphone']);
  await press(bob, 'Camera on');
  await bob.page.getByRole('button', { name: 'Camera off', exact: true }).waitFor();
  await seesMotion(ada, 'Bob', 1);
  await press(bob, 'Unmute');
  await hears(ada, 1);
  assert.deepEqual(await Promise.all([sdpSeen(ada), sdpSeen(bob)]), before);
});

test('camera off and on again, mute and unmute, by the buttons', { timeout: 60_000 }, async () => {
  await press(bob, 'Camera off');
  await until('the roster to say so', () => ada.page.evaluate(() => window.__kit.tiles().every(({ name, picture }) => name !== 'Bob' || !picture)
    || document.querySelector('[data-name="Bob"] video')?.checkVisibility({ visibilityProperty: true, opacityProperty: true }) === false));
  await press(bob, 'Mute');
  await until('silence', async () => !(await ada.page.evaluate(() => window.__kit.heard())).includes(1));
  await press(bob, 'Camera on');
  await press(bob, 'Unmute');
  await Promise.all([seesMotion(ada, 'Bob', 1), hears(ada, 1)]);
});

test('a machine without any device joins to listen', { timeout: 60_000 }, async () => {
  await cyn.page.goto(meeting.joinWebUrl);
  assert.equal(await cyn.page.evaluate(async () => (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput').length), 0);
  await join(cyn, meeting.joinWebUrl, 'Cyn');
  await Promise.all([seesMotion(cyn, 'Ada', 0), hears(cyn, 0)]);
  await cyn.page.getByRole('button', { name: 'Camera on', exact: true }).waitFor();
});

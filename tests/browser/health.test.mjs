/**
 * What the network does to the call is told honestly: figures, reasons, marks, and sound alone where it carries no picture.
 *
 * Bob alone is behind a bad network, the same both ways; Ada is not.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { shotsDir } from './kit/env.mjs';
import { createMeeting, hears, join, openOrganiser, press, routeMedia, seesMotion, seesPicture } from './kit/meeting.mjs';
import { startProxy } from './kit/proxy.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

const LINK = { delayMs: 15, queueMs: 250 };
/** The grades need two looks to get worse and five to get better, two seconds apart; the machine is shared. */
const GRADED = { timeout: 40_000 };

let server;
let proxy;
let ada;
let bob;

before(async () => {
  server = await startServer();
  proxy = await startProxy({ udpTarget: server.port, seed: 7 });
  narrow(2_500);
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  await routeMedia(bob, proxy.udpPort);
  const { joinWebUrl } = await createMeeting(ada);
  await join(ada, joinWebUrl, 'Ada');
  await join(bob, joinWebUrl, 'Bob');
  await Promise.all([seesPicture(ada, 'Bob', 1), seesPicture(bob, 'Ada', 0), hears(bob, 0), hears(ada, 1)]);
}, { timeout: 90_000 });

after(async () => {
  for (const one of [ada, bob]) if (one) assert.deepEqual(one.complaints, []);
  await Promise.all([ada, bob].map((one) => one?.close()));
  proxy?.close();
  await server?.stop();
}, { timeout: 30_000 });

const narrow = (rateKbps) => proxy.impair({ up: { ...LINK, rateKbps }, down: { ...LINK, rateKbps } });
const state = ({ page }) => page.evaluate(() => window.plenum.state());
const healthOf = async (viewer) => (await state(viewer)).health;

async function shot({ page }, name) {
  mkdirSync(shotsDir, { recursive: true });
  await page.screenshot({ path: path(shotsDir, `${name}.png`) });
}

const gradeOfButton = ({ page }) => page.getByRole('button', { name: 'Call health' }).getAttribute('data-grade');
/** The mark on the tile of `name`, or null. */
const mark = ({ page }, name) =>
  page.evaluate((wanted) => document.querySelector(`[data-name="${wanted}"] .network:not([hidden])`)?.dataset.grade ?? null, name);
/** Nothing is marked on the tile of `name`: also a machine that is busy for a moment makes a voice come unevenly, and such a mark goes by itself. */
const calm = (name) => until(`no mark on ${name}`, async () => (await mark(bob, name)) === null, GRADED);
const panelText = ({ page }) => page.locator('#panel').innerText();

test('at 2.5 Mbit/s everything is good, and says so', { timeout: 90_000 }, async (t) => {
  await until('a good network', async () => (await gradeOfButton(bob)) === 'good', GRADED);
  const { told, own } = await until('a picture for which the network is not to blame', async () => {
    const health = await healthOf(bob);
    return health.told?.slots.some(({ reason, layer }) => reason !== 'network' && layer > 0) && health.own?.sending && health;
  }, GRADED);
  report(t, 'the path to Bob is believed to carry', told.down.target / 1_000, 'kbit/s');
  assert.ok(told.down.target > 1_000_000 && told.down.lossPermille < 20, JSON.stringify(told.down));
  assert.ok(own.roundTrip >= 30 && own.roundTrip < 300, `${own.roundTrip} ms`);
  assert.deepEqual(told.up.map(({ kind }) => kind).sort(), ['camera', 'microphone']);
  await press(bob, 'Call health');
  await until('the reason for the picture of Ada', async () => /Ada\s.*as large as (they send|its tile needs)/s.test(await panelText(bob)));
  for (const name of ['Ada', 'Bob']) await calm(name);
  await shot(bob, 'health-good');
});

test('at 400 kbit/s the network is named as the reason, and marked', { timeout: 120_000 }, async (t) => {
  narrow(400);
  const began = performance.now();
  const { told } = await until('the network as the reason', async () => {
    const health = await healthOf(bob);
    return health.told?.slots.some(({ reason }) => reason === 'network') && health;
  }, GRADED);
  report(t, 'named as the reason after', performance.now() - began);
  assert.ok(told.down.target < 600_000, `${told.down.target}`);
  await until('the mark on the own picture', async () => ['weak', 'poor'].includes(await mark(bob, 'Bob')), GRADED);
  await until('the words', async () => /Ada\s.*because your network carries/s.test(await panelText(bob)));
  await until('a mark on Bob for the others', async () => ['weak', 'poor'].includes(await mark(ada, 'Bob')), GRADED);
  report(t, 'marked for the others after', performance.now() - began);
  assert.equal((await state(bob)).audioOnly.active, false, 'it carries a picture');
  await calm('Ada');
  await Promise.all([shot(bob, 'health-narrow'), shot(ada, 'health-mark')]);
});

test('at 100 kbit/s it goes on with sound alone, and comes back by itself', { timeout: 240_000 }, async (t) => {
  narrow(100);
  const began = performance.now();
  await until('sound alone', async () => (await state(bob)).audioOnly.active, GRADED);
  report(t, 'sound alone after', performance.now() - began);
  const notice = bob.page.getByText('Sound only: your network', { exact: false });
  await notice.waitFor();
  await until('nothing of Ada’s picture', async () => (await healthOf(bob)).told?.slots.length === 0, GRADED);
  await until('the camera as off for Ada', async () => (await ada.page.getAttribute('[data-name="Bob"]', 'data-camera')) === 'off', GRADED);
  await Promise.all([shot(bob, 'health-sound-only'), shot(ada, 'health-sound-only-others')]);
  const before = await bob.page.evaluate(() => window.__kit.inbound('audio'));
  await Promise.all([hears(bob, 0), hears(ada, 1)]);
  const now = await until('ten seconds of sound', async () => {
    const sums = await bob.page.evaluate(() => window.__kit.inbound('audio'));
    return sums.totalSamplesReceived - before.totalSamplesReceived > 10 * 48_000 && sums;
  }, { timeout: 30_000 });
  await Promise.all([hears(bob, 0), hears(ada, 1)]);
  const madeUp = (now.concealedSamples - before.concealedSamples) / (now.totalSamplesReceived - before.totalSamplesReceived);
  report(t, 'sound made up on 100 kbit/s', madeUp * 100, '%');
  assert.ok(madeUp < 0.07, `${madeUp} of the sound was made up`);
  assert.equal((await state(bob)).audioOnly.active, true, 'it stays');

  narrow(0);
  const released = performance.now();
  await until('pictures by themselves', async () => !(await state(bob)).audioOnly.active, { timeout: 90_000 });
  report(t, 'pictures come back after', performance.now() - released);
  await Promise.all([seesMotion(bob, 'Ada', 0, { timeout: 30_000 }), seesMotion(ada, 'Bob', 1, { timeout: 30_000 })]);
  assert.equal(await notice.isVisible(), false);
  await until('a good network', async () => (await gradeOfButton(bob)) === 'good', GRADED);
});

test('sound alone can be chosen and left by keyboard', { timeout: 60_000 }, async () => {
  const choice = bob.page.getByRole('switch', { name: 'Sound only' });
  await choice.focus();
  await bob.page.keyboard.press('Space');
  await bob.page.getByText('Sound only, as you chose.').waitFor();
  await until('nothing of Ada’s picture', async () => (await healthOf(bob)).told?.slots.length === 0);
  await bob.page.getByRole('button', { name: 'Show video', exact: true }).click();
  await Promise.all([seesMotion(bob, 'Ada', 0), seesMotion(ada, 'Bob', 1)]);
  assert.equal(await choice.getAttribute('aria-checked'), 'false');
});

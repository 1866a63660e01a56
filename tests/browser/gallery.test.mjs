/**
 * A meeting of 53 in one page: pages of a gallery, slots that the page offers for itself, pins, the speaker, low bandwidth.
 *
 * Fifty-one of the people are a crowd of small real cameras, whose pictures say whose they are; Bob is a page of his own, to see
 * that nothing of what Ada does reaches the others as SDP.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { guestName, guestOf, openCrowd } from './kit/crowd.mjs';
import { shotsDir } from './kit/env.mjs';
import { createMeeting, join, openOrganiser, press, sdpSeen } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

const CROWD = 51;
const GALLERY = 49;
const DESK = { width: 1920, height: 1080 };
/** Crowd cameras give five pictures a second; two browsers and fifty encoders share this machine. */
const GAP_MS = 1_500;
const SLOW = { timeout: 40_000 };

let server;
let ada;
let bob;
let crowd;

before(async () => {
  mkdirSync(shotsDir, { recursive: true });
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0, context: { viewport: DESK } }), openBrowser({ person: 1 })]);
  const meeting = await createMeeting(ada, 'Everybody', { canAnonymousStart: true });
  crowd = await openCrowd(server, meeting.joinWebUrl, CROWD);
  await join(bob, meeting.joinWebUrl, 'Bob');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await until('everybody to be there', () => ada.page.evaluate(() => window.plenum.state().participants.length === 53));
}, { timeout: 120_000 });

after(async () => {
  await Promise.all([ada, bob, crowd].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Tiles in sight from left to right and top to bottom. */
const tiles = () => ada.page.evaluate(() => {
  const visible = [...document.querySelectorAll('.tiles .tile')].filter((tile) => tile.checkVisibility());
  const pictures = new Map(window.__kit.tiles().map((tile) => [tile.participant, tile]));
  return visible
    .map((tile) => ({ tile, box: tile.getBoundingClientRect() }))
    .sort((a, b) => a.box.y - b.box.y || a.box.x - b.box.x)
    .map(({ tile, box }) => ({
      name: tile.dataset.name,
      live: tile.dataset.live === 'true',
      picture: pictures.get(tile.dataset.participantId)?.picture ?? null,
      width: Math.round(box.width),
    }));
});

/** Whether a tile's picture is of the person whose name is on it. */
const isRight = ({ name, live, picture }) => live && (name === 'Bob' ? picture?.person === 1 : guestName(guestOf(picture)?.guest ?? -1) === name);

/** Waits until so many tiles are in sight and each shows the right person, in motion. @returns {Promise<string[]>} Their names. */
async function shows(count) {
  const first = await until(`${count} live tiles`, async () => {
    const seen = await tiles();
    const wrong = seen.filter((tile) => !isRight(tile));
    if (seen.length !== count || wrong.length > 0) throw new Error(`${seen.length} tiles, not right: ${JSON.stringify(wrong.slice(0, 6))}`);
    return seen;
  }, SLOW);
  const before = new Map(first.map(({ name, picture }) => [name, picture.counter]));
  const moved = new Set();
  await until(`motion in ${count} tiles`, async () => {
    for (const tile of await tiles()) if (isRight(tile) && before.has(tile.name) && before.get(tile.name) !== tile.picture.counter) moved.add(tile.name);
    if (moved.size < count) throw new Error(`still: ${first.map(({ name }) => name).filter((name) => !moved.has(name)).join(', ')}`);
    return true;
  }, SLOW);
  return first.map(({ name }) => name);
}

const shot = (name) => ada.page.screenshot({ path: path(shotsDir, `${name}.png`) });
const choose = async (name) => {
  await press(ada, 'View');
  await ada.page.getByRole('radio', { name: new RegExp(`^${name}`) }).check();
  await ada.page.keyboard.press('Escape');
};
const indicator = (text) => ada.page.getByText(text, { exact: true }).first().waitFor();

/** From now on the longest time between two pictures of each slot that has one is noted. */
const watchGaps = () => ada.page.evaluate(() => {
  window.__gaps = new Map();
  for (const video of document.querySelectorAll('.tiles .tile[data-live="true"] video')) {
    let last = performance.now();
    const note = () => {
      const now = performance.now();
      window.__gaps.set(video.dataset.mid, Math.max(window.__gaps.get(video.dataset.mid) ?? 0, now - last));
      last = now;
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  }
});

let firstPage;

test('at first a page has as many people as every connection has room for', { timeout: 90_000 }, async () => {
  const names = await shows(9);
  assert.equal(new Set(names).size, 9);
  await indicator('1 / 6');
  await shot('gallery-grid');
});

test('the gallery shows 49 live people, in slots that the page offers for itself alone', { timeout: 120_000 }, async (t) => {
  await watchGaps();
  const opened = performance.now();
  await choose('Gallery');
  firstPage = await shows(GALLERY);
  report(t, '49 live tiles after', performance.now() - opened);
  assert.equal(new Set(firstPage).size, GALLERY);
  await indicator('1 / 2');
  await shot('gallery-49');
  const gaps = await ada.page.evaluate(() => [...window.__gaps.values()]);
  report(t, 'longest pause of a picture in a slot that there was before', Math.max(...gaps));
  assert.equal(gaps.length, 9);
  assert.ok(Math.max(...gaps) < GAP_MS, `${gaps.map(Math.round)}`);
  const { local, remote, negotiations } = await sdpSeen(ada);
  assert.deepEqual({ local, remote, negotiations }, { local: 2, remote: 2, negotiations: 0 }, 'one further offer, one answer');
});

test('nobody else gets SDP because of it', async () => {
  const { local, remote, negotiations } = await sdpSeen(bob);
  assert.deepEqual({ local, remote, negotiations }, { local: 1, remote: 1, negotiations: 0 });
  assert.deepEqual(await crowd.sdp(), { offers: CROWD, answers: CROWD, unasked: 0 });
  assert.equal(await crowd.connected(), CROWD);
});

test('the second page shows the rest, by key and by button', { timeout: 90_000 }, async () => {
  await ada.page.keyboard.press('PageDown');
  await indicator('2 / 2');
  const rest = await shows(3);
  await shot('gallery-second-page');
  assert.deepEqual([...firstPage, ...rest].sort(), [...Array.from({ length: CROWD }, (_, guest) => guestName(guest)), 'Bob'].sort());
  await ada.page.keyboard.press('PageDown');
  await indicator('2 / 2');
  await press(ada, 'Previous page');
  await indicator('1 / 2');
  assert.deepEqual(await shows(GALLERY), firstPage, 'everybody in their place');
  assert.deepEqual((await sdpSeen(ada)).local, 2, 'and no further offer');
});

test('who is pinned by keyboard is large, on every page and after a lost connection', { timeout: 120_000 }, async () => {
  const pinned = firstPage[5];
  await ada.page.getByRole('button', { name: `Pin ${firstPage[4]}`, exact: true }).focus();
  await ada.page.keyboard.press('ArrowRight');
  await ada.page.keyboard.press('Enter');
  const isLarge = (name) => until(`${name} large`, async () => {
    const seen = await tiles();
    const large = seen.find((tile) => tile.name === name);
    return large !== undefined && isRight(large) && seen.every((tile) => tile === large || large.width > 3 * tile.width);
  }, SLOW);
  await isLarge(pinned);
  await shot('gallery-pinned');
  await ada.page.keyboard.press('PageDown');
  await isLarge(pinned);
  await ada.page.evaluate(() => window.__kit.sockets.at(-1).close());
  await until('the connection to come back', () => ada.page.evaluate(() => window.plenum.state().link.phase === 'open'));
  await isLarge(pinned);
  await ada.page.getByText('Pinned by you').first().waitFor({ state: 'attached' });
  await ada.page.getByRole('button', { name: `Unpin ${pinned}`, exact: true }).focus();
  await ada.page.keyboard.press('Enter');
  await ada.page.keyboard.press('PageUp');
  assert.deepEqual(await shows(GALLERY), firstPage);
});

test('in the speaker view who speaks is large', { timeout: 60_000 }, async () => {
  await choose('Speaker');
  await until('Bob, who alone of the others has a voice, large', async () => {
    const seen = await tiles();
    const large = seen.find(({ name }) => name === 'Bob');
    return large !== undefined && isRight(large) && seen.every((tile) => tile === large || large.width > 3 * tile.width);
  }, SLOW);
  await shot('gallery-speaker');
});

test('low bandwidth leaves four pictures', { timeout: 60_000 }, async () => {
  await choose('Gallery');
  await press(ada, 'View');
  await ada.page.getByRole('switch', { name: /^Low bandwidth/ }).check();
  await shot('gallery-view-menu');
  await ada.page.keyboard.press('Escape');
  await shows(4);
  await until('four slots in use', () => ada.page.evaluate(() => {
    const slots = window.plenum.state().slots.filter(({ kind }) => kind === 'video');
    return slots.filter(({ participantId }) => participantId !== null).length === 4;
  }));
  await shot('gallery-low-bandwidth');
});

test('on a phone', { timeout: 60_000 }, async () => {
  await press(ada, 'View');
  await ada.page.getByRole('switch', { name: /^Low bandwidth/ }).uncheck();
  await ada.page.keyboard.press('Escape');
  await ada.page.setViewportSize({ width: 390, height: 844 });
  await until('a page of fewer tiles', async () => (await tiles()).length < 20);
  const count = (await tiles()).length;
  assert.ok(count >= 10, `${count}`);
  await shows(count);
  await shot('gallery-phone');
});

/**
 * The standard doors: WHIP to publish, WHEP to play, from a page that knows only RTCPeerConnection and fetch.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, seesMotion, ticketFor } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';
import { openWhip } from './kit/whip.mjs';

let server;
let ada;
let encoder;
let player;
const browsers = [];
let meeting;

before(async () => {
  server = await startServer();
  browsers.push(...await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 4 }), openBrowser({})]));
  [ada] = browsers;
  meeting = await createMeeting(ada, 'Standards');
  await join(ada, meeting.joinWebUrl, 'Ada');
  [encoder, player] = await Promise.all(browsers.slice(1).map(({ page }) => openWhip(page, server.url)));
}, { timeout: 60_000 });

after(async () => {
  await Promise.all(browsers.map((one) => one.close()));
  await server?.stop();
}, { timeout: 30_000 });

let camera;

test('WHIP publishes: 201 with answer and Location, and the meeting sees and hears it', { timeout: 60_000 }, async () => {
  camera = await ticketFor(server, meeting.joinWebUrl, 'Camera');
  const { status, type, location, answer } = await encoder.publish(camera);
  assert.equal(status, 201, answer);
  assert.match(type, /^application\/sdp/);
  assert.ok(location);
  await Promise.all([seesMotion(ada, 'Camera', 4), hears(ada, 4)]);
});

let spectator;

test('WHEP plays: one audio and one video line show and sound the meeting', { timeout: 60_000 }, async () => {
  spectator = await ticketFor(server, meeting.joinWebUrl, 'Player');
  const { status, type, location, answer } = await player.play(spectator);
  assert.equal(status, 201, answer);
  assert.match(type, /^application\/sdp/);
  assert.ok(location);
  const look = () => player.page.evaluate(() => window.__kit.picture(document.querySelector('video')));
  const first = await until('a picture of the meeting', look);
  assert.ok([0, 4].includes(first.person));
  await until('motion', async () => {
    const later = await look();
    return later && later.counter !== first.counter;
  });
  await until('a voice of the meeting', () => player.page.evaluate(() => window.__kit.heard(window.pc).some((who) => who === 0 || who === 4)));
});

test('both doors refuse a wrong token, a wrong body and a wrong type with a reason', { timeout: 30_000 }, async () => {
  const post = (url, token, body, type = 'application/sdp') =>
    fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': type }, body });
  for (const url of [camera.whipUrl, camera.whepUrl]) {
    assert.equal((await post(url, 'nonsense', 'v=0\r\n')).status, 401);
    const broken = await post(url, (await ticketFor(server, meeting.joinWebUrl, 'Broken')).token, 'this is no SDP');
    assert.equal(broken.status, 400);
    assert.match((await broken.json()).error.message, /\w+ \w+/);
    assert.equal((await post(url, camera.token, '{}', 'application/json')).status, 415);
  }
});

test('DELETE ends: the publication is gone from the meeting, the player falls silent', { timeout: 60_000 }, async () => {
  assert.equal(await encoder.end('nonsense'), 401, 'not by a stranger');
  assert.ok([200, 204].includes(await encoder.end(camera.token)));
  await until('the tile to lose its picture', () => ada.page.evaluate(() =>
    window.__kit.tiles().every(({ name, picture }) => name !== 'Camera' || !picture)));
  await until('silence', async () => !(await ada.page.evaluate(() => window.__kit.heard())).includes(4));
  assert.ok([200, 204].includes(await player.end(spectator.token)));
  assert.equal(await player.end(spectator.token), 404, 'once ended, it is no more');
});

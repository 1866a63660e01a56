/**
 * The standard doors: WHIP to publish, WHEP to play, from a page that knows only RTCPeerConnection and fetch.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, openOrganiser, seesMotion, ticketFor } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let encoder;
let player;
let meeting;

before(async () => {
  server = await startServer();
  [ada, encoder, player] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 4 }), openBrowser({})]);
  meeting = await createMeeting(ada, 'Standards');
  await join(ada, meeting.joinWebUrl, 'Ada');
  for (const { page } of [encoder, player]) await page.goto(`${server.url}/healthz`);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, encoder, player].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Offers, posts, takes the answer; `window.pc` and `window.resource` stay in the page. */
const exchange = ({ page }, endpoint, token, publish) => page.evaluate(async ([url, bearer, sends]) => {
  const pc = new RTCPeerConnection();
  window.pc = pc;
  if (sends) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  } else {
    for (const kind of ['audio', 'video']) {
      const { receiver } = pc.addTransceiver(kind, { direction: 'recvonly' });
      const element = document.createElement(kind);
      element.muted = true;
      element.srcObject = new MediaStream([receiver.track]);
      document.body.append(element);
      element.play().catch(() => {});
    }
  }
  await pc.setLocalDescription();
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/sdp' },
    body: pc.localDescription.sdp,
  });
  const answer = await response.text();
  const location = response.headers.get('location');
  if (response.status === 201) await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  window.resource = location && new URL(location, url).href;
  return { status: response.status, type: response.headers.get('content-type'), location, answer };
}, [endpoint, token, publish]);

const end = ({ page }, token) => page.evaluate(async (bearer) => {
  const response = await fetch(window.resource, { method: 'DELETE', headers: { authorization: `Bearer ${bearer}` } });
  return response.status;
}, token);

let camera;

test('WHIP publishes: 201 with answer and Location, and the meeting sees and hears it', { timeout: 60_000 }, async () => {
  camera = await ticketFor(server, meeting.joinWebUrl, 'Camera');
  const { status, type, location, answer } = await exchange(encoder, camera.whipUrl, camera.token, true);
  assert.equal(status, 201, answer);
  assert.match(type, /^application\/sdp/);
  assert.ok(location);
  await Promise.all([seesMotion(ada, 'Camera', 4), hears(ada, 4)]);
});

let spectator;

test('WHEP plays: one audio and one video line show and sound the meeting', { timeout: 60_000 }, async () => {
  spectator = await ticketFor(server, meeting.joinWebUrl, 'Player');
  const { status, type, location, answer } = await exchange(player, spectator.whepUrl, spectator.token, false);
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
  assert.equal(await end(encoder, 'nonsense'), 401, 'not by a stranger');
  assert.ok([200, 204].includes(await end(encoder, camera.token)));
  await until('the tile to lose its picture', () => ada.page.evaluate(() =>
    window.__kit.tiles().every(({ name, picture }) => name !== 'Camera' || !picture)));
  await until('silence', async () => !(await ada.page.evaluate(() => window.__kit.heard())).includes(4));
  assert.ok([200, 204].includes(await end(player, spectator.token)));
  assert.equal(await end(player, spectator.token), 404, 'once ended, it is no more');
});

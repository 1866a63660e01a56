import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { Painter, TONES, wav } from './media.mjs';
import { checkBits, codeBits, HEIGHT, LOOP, readCode, WIDTH } from './paint.mjs';
import { report, until } from './wait.mjs';

/** A page without content on a secure origin (loopback), since devices are given to no other. */
async function emptySite() {
  const server = createServer((_, response) => response.end('<!doctype html><title>loopback</title>')).listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

const lumaOf = (picture) => (x, y) => picture[y * WIDTH + x];

test('every frame of every person reads back as that person and frame', () => {
  for (let person = 0; person < TONES.length; person += 1) {
    const painter = new Painter(person);
    for (const counter of [0, 1, 77, LOOP - 1]) {
      assert.deepEqual(readCode(lumaOf(painter.frame(counter)), WIDTH, HEIGHT), { person, counter });
    }
  }
});

test('a picture of two frames, a black and a grey one read as nothing', () => {
  const one = Buffer.from(new Painter(1).frame(10));
  const two = Buffer.from(new Painter(2).frame(11));
  two.copy(one, (HEIGHT / 2) * WIDTH, (HEIGHT / 2) * WIDTH, HEIGHT * WIDTH);
  assert.equal(readCode(lumaOf(one), WIDTH, HEIGHT), null);
  assert.equal(readCode(() => 16, WIDTH, HEIGHT), null);
  assert.equal(readCode(() => 128, WIDTH, HEIGHT), null);
});

test('any single wrong bit fails the checksum', () => {
  for (let flip = 0; flip < 12; flip += 1) {
    const word = (3 << 8) | 99;
    const wrong = word ^ (1 << flip);
    assert.notEqual(checkBits(wrong >> 8, wrong & 0xff), checkBits(3, 99));
  }
  assert.equal(codeBits(3, 99).length, 16);
});

test('a microphone file is ten seconds of sound and loops without a click', () => {
  const file = wav(TONES[0]);
  assert.equal(file.length, 44 + 48_000 * 10 * 2);
  assert.ok(Math.abs(file.readInt16LE(44)) < 10 && Math.abs(file.readInt16LE(file.length - 2)) < 2000);
});

// Camera -> encoder -> network -> decoder -> picture, without any server: proves the bench before it judges Plenum.
test('a loopback call in Chromium shows the right person, a rising counter and the right tone', { timeout: 60_000 }, async (t) => {
  const person = 2;
  const site = await emptySite();
  const { page, close } = await openBrowser({ person });
  try {
    await page.goto(site.url);
    await page.evaluate(async () => {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
      const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
      near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
      far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
      for (const track of stream.getTracks()) near.addTrack(track, stream);
      await near.setLocalDescription();
      await far.setRemoteDescription(near.localDescription);
      await far.setLocalDescription();
      await near.setRemoteDescription(far.localDescription);
      const video = document.createElement('video');
      video.muted = true;
      video.srcObject = new MediaStream([window.__kit.receivers(far, 'video')[0].track]);
      document.body.append(video);
      video.play();
      window.far = far;
    });
    const look = () => page.evaluate(() => window.__kit.picture(document.querySelector('video')));
    const first = await until('the first readable picture', look);
    assert.equal(first.person, person);
    const later = await until('a later picture', async () => {
      const seen = await look();
      return seen && seen.counter !== first.counter && seen;
    });
    assert.equal(later.person, person);
    await until('the tone', () => page.evaluate((who) => window.__kit.heard(window.far).includes(who), person));
    // Noise suppression needs some seconds to decide that a tone is noise.
    let misses = 0;
    let looks = 0;
    const strangers = [];
    const started = performance.now();
    await until('twelve seconds of sound', async () => {
      looks += 1;
      const heard = await page.evaluate(() => window.__kit.heard(window.far));
      if (!heard.includes(person)) misses += 1;
      strangers.push(...heard.filter((who) => who !== person));
      return performance.now() - started > 12_000;
    }, { timeout: 20_000 });
    report(t, 'looks without the tone', `${misses} of ${looks}`, '');
    assert.deepEqual(strangers, [], 'nobody else is here');
    assert.ok(misses < looks / 4, 'the tone survives the browser\'s sound processing');
  } finally {
    await close();
    site.close();
  }
});

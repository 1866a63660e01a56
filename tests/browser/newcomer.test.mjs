/**
 * Whoever comes within a second of a key frame sees the picture at once: the server replays it, with what followed, and asks
 * the publisher for nothing.
 *
 * The publisher's own count of encoded key frames says whether one was made for the newcomer. On a busy machine the second may
 * pass before the newcomer is there; then another one comes, a few times at most. The delay of the jitter buffer afterwards shows
 * that the past was not taken for a slow path.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, openOrganiser } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { report, until } from './kit/wait.mjs';

const PERSON = 2;
const ATTEMPTS = 6;

let server;
let organiser;
let meeting;
let publisher;
const browsers = [];

before(async () => {
  server = await startServer();
  organiser = await openOrganiser(server, {});
  meeting = await createMeeting(organiser, 'Newcomers', { canAnonymousStart: true });
  const browser = await openBrowser({ person: PERSON });
  browsers.push(browser);
  publisher = await openStranger(browser.page, server.url);
  await publisher.connect((await publisher.join(meeting.joinWebUrl, 'Publisher')).body.token);
  await publisher.offer({ video: 'device' });
  for (let n = 0; n < 2; n += 1) browsers.push(await openBrowser({}));
}, { timeout: 90_000 });

after(async () => {
  await Promise.all([organiser, ...browsers].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

/** Somebody who has joined and whose page is ready to offer. */
async function ready({ page }, name) {
  const one = await openStranger(page, server.url);
  await one.connect((await one.join(meeting.joinWebUrl, name)).body.token);
  return one;
}

/** Offers, and waits for the first picture of the publisher. @returns {Promise<number>} ms from the offer to it */
async function watch({ page, offer }) {
  const offered = await page.evaluate(() => performance.now());
  await offer({ videoSlots: 1 });
  const first = await until('the first picture', () =>
    page.evaluate((person) => window.stranger.frames.find((frame) => frame.person === person), PERSON), { timeout: 5_000 });
  return first.at - offered;
}

const keyFramesMade = () => publisher.page.evaluate(async () => {
  const stats = [...(await window.stranger.pc.getStats()).values()];
  return stats.find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video').keyFramesEncoded;
});

test('a key frame that has just passed is replayed to a newcomer, whose picture then is as live as anybody\'s', { timeout: 90_000 }, async (t) => {
  const [, first, second] = browsers;
  let replayed;
  for (let attempt = 1; attempt <= ATTEMPTS && !replayed; attempt += 1) {
    const [one, other] = await Promise.all([ready(first, `First ${attempt}`), ready(second, `Newcomer ${attempt}`)]);
    const waited = await watch(one);
    const made = await keyFramesMade();
    const took = await watch(other);
    const asked = (await keyFramesMade()) - made;
    report(t, `attempt ${attempt}: the first waited for a key frame`, waited);
    report(t, `attempt ${attempt}: the newcomer's first picture, ${asked} key frames made for it`, took);
    if (asked === 0) replayed = other;
    else await Promise.all([one, other].map(({ page }) => page.evaluate(() => window.stranger.pc.close())));
  }
  assert.ok(replayed, 'a newcomer saw the picture without a key frame of its own');

  const figures = () => replayed.page.evaluate(() => window.__kit.inbound('video', window.stranger.pc));
  const begin = await figures();
  const later = await until('two seconds of pictures', async () => {
    const now = await figures();
    return now.framesDecoded >= begin.framesDecoded + 40 && now;
  }, { timeout: 10_000 });
  const delay = (1000 * later.jitterBufferDelay) / later.jitterBufferEmittedCount;
  report(t, 'delay of the jitter buffer, all pictures', delay);
  assert.equal(later.freezeCount ?? 0, 0, 'no freeze');
  assert.equal(later.pliCount, 0, 'and nothing that the newcomer could not decode');
  assert.ok(delay < 200, 'the replayed pictures did not make it expect a slow path');
  assert.deepEqual(await replayed.deviations(), []);
});

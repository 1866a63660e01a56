/**
 * The first meeting once more, in Firefox: two people see and hear each other, a third comes in Chromium, one leaves.
 *
 * Firefox gathers no loopback addresses, so that server and browsers run in a network namespace with an address of its own.
 * This file makes it, and runs itself inside.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './kit/browser.mjs';
import { openFirefox } from './kit/firefox.mjs';
import { createMeeting, hears, join, openOrganiser, press, sdpSeen, seesMotion } from './kit/meeting.mjs';
import { ADDRESS, isInside, runInside, whyNot } from './kit/network.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

/**
 * Waits until a Firefox plays the voice of `name`. No AudioContext runs where there is no sound card, so that no tone can be
 * looked for: whose packets they are is told by their CSRC, and that they are no silence by the energy of what was decoded.
 */
function plays({ page }, name) {
  return until(`the voice of ${name}`, () => page.evaluate(async (who) => {
    const { participants, publications } = window.plenum.state();
    const person = participants.find(({ displayName }) => displayName === who);
    const voice = publications.find(({ participantId, kind }) => participantId === person?.id && kind === 'microphone');
    for (const receiver of window.__kit.receivers(window.plenum.pc, 'audio')) {
      if (!receiver.getContributingSources().some(({ source }) => source === voice?.id)) continue;
      for (const entry of (await receiver.getStats()).values()) {
        if (entry.type === 'inbound-rtp' && entry.totalAudioEnergy > 0.001) return true;
      }
    }
    return false;
  }, name));
}

if (isInside) meetings();
else {
  const skip = whyNot() ?? false;
  test('a meeting in Firefox, in a network of its own', { skip, timeout: 180_000 }, async (t) => {
    const { code, output } = await runInside(fileURLToPath(import.meta.url));
    for (const [, line] of output.matchAll(/^# (.+: [\d.]+ ms)$/gm)) t.diagnostic(line);
    assert.equal(code, 0, output);
    assert.match(output, /^# pass [1-9]/m, 'it ran tests');
  });
}

function meetings() {
  let server;
  let organiser;
  let joinWebUrl;
  let ada;
  let bob;
  let cyn;

  before(async () => {
    server = await startServer({ env: { PLENUM__MEDIA__ANNOUNCE: ADDRESS } });
    organiser = await openOrganiser(server, {});
    ({ joinWebUrl } = await createMeeting(organiser, 'Foxes', { canAnonymousStart: true }));
    await organiser.close();
    ada = await openFirefox({ person: 0 });
    bob = await openFirefox({ person: 1 });
  }, { timeout: 90_000 });

  after(async () => {
    await Promise.all([ada, bob, cyn].map((one) => one?.close()));
    await server?.stop();
  }, { timeout: 30_000 });

  test('two in Firefox see and hear each other', { timeout: 90_000 }, async (t) => {
    await join(ada, joinWebUrl, 'Ada');
    const pressed = await join(bob, joinWebUrl, 'Bob');
    report(t, 'in the meeting after pressing Join', performance.now() - pressed);
    await Promise.all([seesMotion(bob, 'Ada', 0), seesMotion(ada, 'Bob', 1)]);
    report(t, 'both see each other after pressing Join', performance.now() - pressed);
    await Promise.all([plays(bob, 'Ada'), plays(ada, 'Bob')]);
    report(t, 'both hear each other after pressing Join', performance.now() - pressed);
  });

  test('a third in Chromium sees and hears both, and is seen and heard, without an offer of theirs', { timeout: 60_000 }, async (t) => {
    const before = await Promise.all([sdpSeen(ada), sdpSeen(bob)]);
    cyn = await openBrowser({ person: 2 });
    const pressed = await join(cyn, joinWebUrl, 'Cyn');
    await Promise.all([
      seesMotion(cyn, 'Ada', 0),
      seesMotion(cyn, 'Bob', 1),
      seesMotion(ada, 'Cyn', 2),
      seesMotion(bob, 'Cyn', 2),
    ]);
    await Promise.all([hears(cyn, 0), hears(cyn, 1), plays(ada, 'Cyn'), plays(bob, 'Cyn')]);
    report(t, 'everybody sees and hears everybody after pressing Join', performance.now() - pressed);
    assert.deepEqual(await Promise.all([sdpSeen(ada), sdpSeen(bob)]), before);
  });

  test('who leaves is gone from the others\' stage', { timeout: 30_000 }, async () => {
    await press(bob, 'Leave');
    await until('the tile to go', async () => (await ada.page.evaluate(() => window.__kit.tiles())).every(({ name }) => name !== 'Bob'));
    await seesMotion(ada, 'Cyn', 2);
  });

  test('no page complained', () => {
    assert.deepEqual([ada, bob, cyn].flatMap(({ complaints }) => complaints), []);
  });
}

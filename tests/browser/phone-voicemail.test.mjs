/**
 * A call to somebody's own number: it rings at their page, they answer or decline, and who is not answered leaves a message, which is a
 * recording with all that recordings have.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { startPhone } from './kit/baresip.mjs';
import { openBrowser } from './kit/browser.mjs';
import { shotsDir } from './kit/env.mjs';
import { TONES } from './kit/media.mjs';
import { createMeeting, hears, join, openOrganiser, press } from './kit/meeting.mjs';
import { freePort } from './kit/ports.mjs';
import { tones } from './kit/recorded.mjs';
import { share } from './kit/sound.mjs';
import { lineOf, startPhoneServer } from './kit/trunk.mjs';
import { report, until } from './kit/wait.mjs';

/** Persons whose voices are these tones. */
const [ADA, PHONE] = [0, 2];
const NUMBER = '+4930555199';
const MASKED = '+49••••••99';
/** The number of whoever opens the organiser's link. */
const OWN = '+49305550';
const RINGS = '6';

let server;
let ada;
let phone;

before(async () => {
  const port = await freePort();
  server = await startPhoneServer({
    trunks: [{ name: 'lab', host: '127.0.0.1', port }],
    phone: { numbers__1__number: '+49 30 5550', numbers__1__user: 'Organiser', voicemail_ring_seconds: RINGS },
  });
  [ada, phone] = await Promise.all([openOrganiser(server, { person: ADA, words: true }), startPhone({ number: NUMBER, port, tone: TONES[PHONE] })]);
  await ada.context.addInitScript(hearBells);
  await ada.page.reload();
}, { timeout: 60_000 });

after(async () => {
  phone?.end();
  await ada?.close();
  await server?.stop();
}, { timeout: 30_000 });

/** In the page: how loud what it plays by itself is. */
function hearBells() {
  const played = [];
  window.AudioContext = class extends AudioContext {
    #ear = super.createAnalyser();
    constructor(...options) {
      super(...options);
      this.#ear.connect(super.destination);
      played.push({ context: this, ear: this.#ear });
    }
    get destination() {
      return this.#ear ?? super.destination;
    }
  };
  window.__bell = () => {
    const levels = played.filter(({ context }) => context.state === 'running').map(({ ear }) => {
      const samples = new Float32Array(ear.fftSize);
      ear.getFloatTimeDomainData(samples);
      return Math.hypot(...samples) / Math.sqrt(samples.length);
    });
    return Math.max(0, ...levels);
  };
}

const bell = () => ada.page.evaluate(() => window.__bell());
const rings = (least) => until('the bell', async () => (await bell()) > least);
const isStill = () => until('no bell', async () => (await bell()) === 0);

/** For the called one the number is whole. */
const notice = () => ada.page.getByText(`${NUMBER} is calling`);
const ask = async (url) => {
  const cookie = (await ada.context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  return fetch(`${server.url}${url}`, { headers: { cookie } });
};
const recordings = async () => (await (await ask('/v1/recordings')).json()).value;

test('who is not answered leaves a message after the beep, which is a recording of theirs and in the chat', { timeout: 90_000 }, async (t) => {
  const call = phone.dial(lineOf(server, OWN));
  await notice().waitFor();
  await call.answered();
  await call.hears(['voicemail', 'beep']);
  await notice().waitFor({ state: 'detached' });
  await call.next(3);
  // Silence ends it.
  phone.mute();
  await call.hears(['message-saved', 'goodbye']);
  await call.ended();
  phone.mute();
  const recording = await until('the message among the recordings', async () => (await recordings()).find(({ status }) => status !== 'recording'), { timeout: 30_000 });
  const file = path(server.data, 'message.webm');
  writeFileSync(file, Buffer.from(await (await ask(`/v1/recordings/${recording.id}/content`)).arrayBuffer()));
  const { shares, seconds } = await tones(file);
  report(t, 'the message', `${seconds.toFixed(1)} s, the caller’s tone in ${Math.round(shares[PHONE] * 100)} %`, '');
  assert.ok(seconds > 3 && seconds < 12, `${seconds} s`);
  assert.ok(shares[PHONE] > 0.3, `${shares}`);
});

test('the list says after a reload what became of the call, and its chat has the whole number to call back', async () => {
  await ada.page.goto(`${server.url}/#/chats`);
  await ada.page.reload();
  const row = ada.page.getByRole('link', { name: `Call from ${MASKED}` });
  await row.getByText(`${MASKED} left a message.`).waitFor();
  const unread = () => ada.page.locator('[data-unread]', { has: row }).getAttribute('data-unread');
  assert.equal(await unread(), '1', 'as if somebody had written');
  await row.click();
  await until('it to be read', async () => (await unread()) === '0');
  const back = ada.page.locator('.thread-line', { hasText: 'left a message' }).getByRole('link', { name: NUMBER, exact: true });
  assert.equal(await back.getAttribute('href'), `tel:${NUMBER}`);
  await ada.page.locator('.thread-line', { hasText: `${NUMBER} called.` }).waitFor();
  await ada.page.goto(server.url);
});

test('who says nothing leaves a missed call and no recording', { timeout: 90_000 }, async () => {
  const before = (await recordings()).length;
  const call = phone.dial(lineOf(server, OWN));
  await notice().waitFor();
  await rings(0.02);
  await ada.page.getByRole('button', { name: 'Decline' }).click();
  await isStill();
  await call.answered();
  phone.mute();
  await call.hears(['voicemail', 'beep', 'goodbye']);
  await call.ended();
  phone.mute();
  assert.deepEqual(call.prompts().filter((name) => name === 'message-saved'), []);
  await until('nothing more among the recordings', async () => (await recordings()).length === before);
});

test('whoever answers talks with the caller, who is asked for nothing', { timeout: 60_000 }, async (t) => {
  const call = phone.dial(lineOf(server, OWN));
  await notice().waitFor();
  await ada.page.getByRole('button', { name: 'Answer' }).click();
  await call.answered();
  const { microphone, camera } = await ada.page.evaluate(() => window.plenum.state().wanted);
  assert.deepEqual([microphone, camera], [true, false], 'as by a phone');
  await Promise.all([hears(ada, PHONE), until('Ada at the phone', async () => share(await call.next(0.5), TONES[ADA]) > 0.5)]);
  report(t, 'prompts on the way', call.prompts().length, '');
  assert.deepEqual(call.prompts(), []);
  phone.hangUp();
  await call.ended();
});

/** Buttons of the meeting under which something else lies, in a window of that size. */
const covered = async (viewer, [width, height]) => {
  await viewer.page.setViewportSize({ width, height });
  return viewer.page.evaluate(() =>
    [...document.querySelectorAll('.bar button, .meeting-head button, .panel-head button')].flatMap((button) => {
      const { left, top, width, height } = button.getBoundingClientRect();
      if (width === 0) return [];
      const above = document.elementFromPoint(left + width / 2, top + height / 2);
      return button.contains(above) ? [] : [button.textContent];
    }),
  );
};

test('who is in a meeting hears of a call there, stays to decline, and leaves it to answer', { timeout: 90_000 }, async () => {
  const { joinWebUrl } = await createMeeting(ada);
  const eve = await openBrowser();
  await join(ada, joinWebUrl, 'Ada');
  await join(eve, joinWebUrl, 'Eve');
  const meeting = ada.page.url();

  let call = phone.dial(lineOf(server, OWN));
  await notice().waitFor();
  const shot = path(shotsDir, 'call-in-meeting');
  for (const size of [[960, 600], [390, 844]]) {
    assert.deepEqual(await covered(ada, size), [], `${size}`);
    await ada.page.screenshot({ path: `${shot}-${size[0]}.png` });
  }
  await press(ada, 'Chat');
  assert.deepEqual(await covered(ada, [390, 667]), [], 'with a panel');
  await ada.page.screenshot({ path: `${shot}-panel.png` });
  await press(ada, 'Close panel');
  await ada.page.setViewportSize({ width: 960, height: 600 });
  assert.equal(await eve.page.getByText('is calling').count(), 0, 'guests have no number');
  await ada.page.getByRole('button', { name: 'Decline' }).focus();
  await ada.page.keyboard.press('Enter');
  await notice().waitFor({ state: 'detached' });
  assert.equal(await ada.page.evaluate(() => document.activeElement?.id), 'main', 'the focus is not lost');
  assert.equal(ada.page.url(), meeting);
  await call.answered();
  phone.hangUp();
  await call.ended();

  await isStill();
  call = phone.dial(lineOf(server, OWN));
  await rings(0.002);
  assert.ok((await bell()) < 0.1, 'softer than alone');
  await press(ada, 'Leave and answer');
  await until('Ada to have left the meeting', () => eve.page.evaluate(() => !window.plenum.state().participants.some(({ displayName }) => displayName === 'Ada')));
  await call.answered();
  await hears(ada, PHONE);
  await isStill();
  assert.notEqual(ada.page.url(), meeting);
  await press(ada, 'Chat');
  await ada.page.locator('.chat-line').getByRole('link', { name: NUMBER, exact: true }).waitFor();
  phone.hangUp();
  await call.ended();
  assert.deepEqual([...ada.complaints, ...eve.complaints], []);
  await eve.close();
});

/**
 * The page for eyes, fingers and screen readers: no sideways scroll, targets of 44 px, no serious finding by axe-core, on a
 * desk and on a phone, in light and dark. Screenshots are kept for looking at.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { SIZES, judge } from './kit/judge.mjs';
import { createMeeting, join, openChat, openOrganiser, press, seesMotion, sendChat } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let bob;
let meeting;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
  meeting = await createMeeting(ada, 'Weekly with a rather long subject that has to fit somewhere');
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

test('start page, organiser', { timeout: 60_000 }, async () => {
  await ada.page.reload();
  await ada.page.getByRole('button', { name: 'New meeting' }).waitFor();
  await judge(ada, 'start');
});

test('start page, guest', { timeout: 60_000 }, async () => {
  await bob.page.goto(server.url);
  await until('something to do for a guest', () => bob.page.getByRole('textbox').first().isVisible());
  await judge(bob, 'start-guest');
});

test('before joining', { timeout: 60_000 }, async () => {
  await bob.page.goto(meeting.joinWebUrl);
  await bob.page.getByRole('button', { name: 'Join', exact: true }).waitFor();
  await judge(bob, 'before-joining');
  const spilt = await bob.page.evaluate(() => [...document.querySelectorAll('.preview-switches label')].filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).length);
  assert.equal(spilt, 0, 'the words beside the switches have their room');
});

test('in the lobby, and before those who decide', { timeout: 120_000 }, async () => {
  const closed = await createMeeting(ada, 'Behind a door', { lobbyBypassSettings: { scope: 'organizer' } });
  const knock = async ({ page }, name) => {
    await page.goto(closed.joinWebUrl);
    await page.getByRole('textbox', { name: 'Your name' }).fill(name);
    await press({ page }, 'Join');
  };
  await knock(bob, 'Bob with a name that goes on and on');
  await bob.page.getByRole('heading', { name: 'Someone will let you in' }).waitFor();
  await judge(bob, 'lobby');
  await join(ada, closed.joinWebUrl, 'Ada');
  await ada.page.getByRole('button', { name: /^Admit Bob/ }).waitFor();
  await judge(ada, 'lobby-notice');
  await press(ada, 'People');
  await judge(ada, 'lobby-panel');
  await press(ada, 'Meeting options');
  await ada.page.getByRole('combobox', { name: 'Who comes in without waiting' }).waitFor();
  await judge(ada, 'options');
  await press(ada, 'Cancel');
  await press(ada, 'People');
  await press(bob, 'Leave');
  await bob.page.getByRole('heading', { name: 'You left' }).waitFor();
  await press(ada, 'Leave');
});

test('in the meeting', { timeout: 90_000 }, async () => {
  await join(ada, meeting.joinWebUrl, 'Ada');
  await join(bob, meeting.joinWebUrl, 'Bob with a name that goes on and on');
  await seesMotion(ada, 'Bob with a name that goes on and on', 1);
  await judge(ada, 'meeting');
});

test('in the meeting with the chat open', { timeout: 90_000 }, async () => {
  await sendChat(bob, 'A-very-long-word-without-any-place-to-break-it-that-must-not-widen-the-panel-beyond-the-screen-of-a-phone');
  await openChat(ada);
  await sendChat(ada, 'And an answer');
  await judge(ada, 'chat');
  await press(ada, 'Chat');
});

test('in the meeting with the people open', { timeout: 90_000 }, async () => {
  await press(ada, 'People');
  await judge(ada, 'people');
  await press(ada, 'People');
});

test('in the meeting while it is recorded, and the page of the recording', { timeout: 120_000 }, async () => {
  await press(ada, 'Record');
  for (const { page } of [ada, bob]) await page.getByText(/being recorded/i).first().waitFor();
  await judge(ada, 'recorded');
  await judge(bob, 'recorded-guest');
  await press(ada, 'Stop recording');
  await openChat(ada);
  const link = ada.page.locator('a[href*="/recordings/"]').first();
  await link.waitFor({ timeout: 30_000 });
  const href = await link.getAttribute('href');
  await press(ada, 'Chat');
  const page = await ada.context.newPage();
  await page.goto(new URL(href, server.url).href);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await until('the player', () => page.evaluate(() => document.querySelector('.player video')?.readyState >= 1));
  await judge({ page }, 'recording');
  await page.close();
});

test('on a phone the name and the button Join need no scrolling', { timeout: 60_000 }, async () => {
  const phone = await openBrowser({ person: 2, context: { viewport: SIZES[1], hasTouch: true, isMobile: true } });
  try {
    await phone.page.goto(meeting.joinWebUrl);
    for (const part of [phone.page.getByRole('textbox', { name: 'Your name' }), phone.page.getByRole('button', { name: 'Join', exact: true })]) {
      await part.waitFor();
      await until('its place on the first screen', async () => {
        const { y, height } = await part.boundingBox();
        return y >= 0 && y + height <= SIZES[1].height;
      });
    }
    await judge(phone, 'before-joining-phone');
  } finally {
    await phone.close();
  }
});

test('every control of the meeting can be reached and worked by keyboard', { timeout: 60_000 }, async () => {
  const reached = new Set();
  await ada.page.evaluate(() => document.activeElement?.blur());
  for (let n = 0; n < 40; n += 1) {
    await ada.page.keyboard.press('Tab');
    reached.add(await ada.page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim()));
  }
  for (const name of ['Mute', 'Camera off', 'Chat', 'People', 'Record', 'Leave']) {
    assert.ok([...reached].some((label) => label?.startsWith(name)), `${name} among ${[...reached].join(' | ')}`);
  }
  const mute = ada.page.getByRole('button', { name: 'Mute', exact: true });
  await mute.focus();
  await ada.page.keyboard.press('Enter');
  await ada.page.getByRole('button', { name: 'Unmute', exact: true }).waitFor();
  await ada.page.keyboard.press('Enter');
  await mute.waitFor();
});

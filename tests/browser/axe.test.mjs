/**
 * The chats page for everybody: axe-core, sizes and targets in every state of it, at 200 % zoom, by keyboard, by ear; and one
 * look at each of the pages around it.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SIZES, judge } from './kit/judge.mjs';
import { createMeeting, join, openOrganiser } from './kit/meeting.mjs';
import { signedIn } from './kit/person.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

/** A desk at 200 %, and the narrowest that is promised (WCAG 1.4.10). */
const ZOOMED = [...SIZES, { width: 720, height: 450 }, { width: 320, height: 640 }];

let server;
let ada;
let bob;
let chat;
let meeting;

before(async () => {
  server = await startServer();
  ada = await openOrganiser(server, { person: 0 });
  bob = await signedIn(server, 'Bob with a name that goes on and on');
  const eve = await signedIn(server, 'Eve');
  meeting = await createMeeting(ada, 'Weekly with a rather long subject that has to fit somewhere');
  const me = await ada.page.evaluate(() => fetch('/v1/me').then((answer) => answer.json()));
  chat = (await bob.call('POST', '/v1/chats', { chatType: 'group', topic: 'Kitchen', members: [me.userId, eve.userId] })).id;
  const { seq } = await bob.say(chat, 'A-very-long-word-without-any-place-to-break-it-that-must-not-widen-the-thread-beyond-the-screen-of-a-phone');
  await bob.say(chat, '<p>Hello <b>Ada</b> and <a href="https://plenum.example/">a link</a></p><ul><li>one</li></ul><pre>a line of code that is too long for any phone and has to be scrolled within itself</pre>', { contentType: 'html' });
  await bob.call('PUT', `/v1/chats/${chat}/messages/${seq}/reaction`, { reaction: 'heart' });
  await eve.say(chat, 'And an answer', { replyTo: seq });
}, { timeout: 60_000 });

after(async () => {
  await ada?.close();
  await server?.stop();
}, { timeout: 30_000 });

const button = (name) => ada.page.getByRole('button', { name, exact: true });
const box = () => ada.page.getByRole('textbox', { name: 'Message' });
const active = () => ada.page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim());

test('start page with something unread', { timeout: 60_000 }, async () => {
  await ada.page.reload();
  await ada.page.getByRole('link', { name: /3 unread/ }).waitFor();
  await judge(ada, 'start-chats', ZOOMED);
});

test('the list of chats, and what a search finds', { timeout: 60_000 }, async () => {
  await ada.page.goto(`${server.url}/#/chats`);
  await ada.page.getByRole('link', { name: /Kitchen/ }).waitFor();
  await judge(ada, 'chats', ZOOMED);
  await ada.page.getByRole('searchbox').fill('hello');
  await ada.page.getByRole('link', { name: /Hello Ada/ }).waitFor();
  await judge(ada, 'chats-search');
  await button('Clear the search').click();
});

test('a thread: new messages, one’s own, one that failed, an answer, its menu', { timeout: 90_000 }, async () => {
  await ada.page.getByRole('link', { name: /Kitchen/ }).click();
  await ada.page.getByText('And an answer').last().waitFor();
  await box().fill('Mine');
  await ada.page.keyboard.press('Enter');
  await ada.page.route(/\/messages$/, (route) => route.fulfill({ status: 403, json: { error: { code: 'forbidden', message: 'Not here, not now.' } } }));
  await box().fill('Refused');
  await ada.page.keyboard.press('Enter');
  await ada.page.getByText('Not here, not now.').waitFor();
  await ada.page.unrouteAll({ behavior: 'wait' });
  await bob.call('POST', `/v1/chats/${chat}/typing`, {});
  await judge(ada, 'thread', ZOOMED);
  const mine = ada.page.locator('.post', { hasText: 'And an answer' });
  await mine.hover();
  await mine.getByRole('button', { name: /^More for/ }).click();
  await judge(ada, 'thread-menu');
  await ada.page.keyboard.press('Escape');
  await box().fill('@');
  await ada.page.getByRole('option').first().waitFor();
  await judge(ada, 'thread-mention');
  await box().fill('');
  await button('Discard').click();
});

test('the dialogs: a new chat, people', { timeout: 90_000 }, async () => {
  await button('New chat').click();
  const picker = ada.page.getByRole('combobox');
  for (const name of ['Bob', 'Eve']) {
    await picker.fill(name);
    await ada.page.getByRole('option').first().click();
  }
  await picker.fill('zz');
  await ada.page.getByText('Nobody found.').waitFor();
  await judge(ada, 'chats-new', ZOOMED);
  await ada.page.keyboard.press('Escape');
  await button('People in this chat').click();
  await judge(ada, 'chats-people', ZOOMED);
  await ada.page.keyboard.press('Escape');
  await until('the focus to be back', async () => (await active()) === 'People in this chat');
});

test('by keyboard: from the list into a chat, to a message, its menu and back', { timeout: 60_000 }, async () => {
  await ada.page.goto(`${server.url}/#/chats`);
  await ada.page.getByRole('link', { name: /Kitchen/ }).focus();
  await ada.page.keyboard.press('Enter');
  await until('the box to have the focus', async () => (await active()) === 'Message');
  await ada.page.keyboard.press('Shift+Tab');
  await until('the newest message', async () => (await active()).startsWith('More for your message'));
  await ada.page.keyboard.press('ArrowUp');
  await until('the one before', async () => (await active()).startsWith('More for the message of Eve'));
  await ada.page.keyboard.press('Enter');
  await until('the menu', async () => (await active()) === 'Like');
  assert.equal(await ada.page.evaluate(() => document.activeElement.getAttribute('role')), 'menuitemradio');
  await ada.page.keyboard.press('End');
  await until('the last item', async () => (await active()) === 'Copy text');
  await ada.page.keyboard.press('Escape');
  await until('the message again', async () => (await active()).startsWith('More for the message of Eve'));
  assert.equal(await ada.page.locator('.post-more[tabindex="0"]').count(), 1, 'all messages are one stop of Tab');
});

test('by ear: what others write is told once, what is read back is not', { timeout: 60_000 }, async () => {
  const spoken = ada.page.locator('.chats-page > [aria-live="polite"]');
  await bob.say(chat, 'can you hear me');
  await until('it to be told', async () => (await spoken.textContent()).endsWith('can you hear me'));
  assert.equal(await ada.page.getByRole('log').getAttribute('aria-live'), 'off');
});

test('before joining, and in the meeting', { timeout: 90_000 }, async () => {
  await ada.page.goto(meeting.joinWebUrl);
  await ada.page.getByRole('button', { name: 'Join', exact: true }).waitFor();
  await judge(ada, 'axe-before-joining');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await judge(ada, 'axe-meeting');
});

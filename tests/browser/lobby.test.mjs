/**
 * The lobby: who waits sees and sends nothing, is let in without a new connection, and a removed person cannot come back by
 * the same link under another name. Roles, hands and reactions as people use them.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { shotsDir } from './kit/env.mjs';
import { createMeeting, hears, join, openOrganiser, press, seesMotion, sendChat, ticketFor } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { until } from './kit/wait.mjs';

let server;
let ada;
let bob;
let mallory;
let meeting;
let hacked;

before(async () => {
  mkdirSync(shotsDir, { recursive: true });
  server = await startServer();
  [ada, bob, mallory] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 }), openBrowser({ person: 3 })]);
  meeting = await createMeeting(ada, 'Board', { lobbyBypassSettings: { scope: 'organizer' } });
  hacked = await openStranger(mallory.page, server.url);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob, mallory].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const state = ({ page }) => page.evaluate(() => window.plenum.state());
const shot = ({ page }, name) => page.screenshot({ path: path(shotsDir, `lobby-${name}.png`) });

/** Opens the join page and presses Join; what comes then is the test's to say. */
async function knock({ page }, name) {
  await page.goto(meeting.joinWebUrl);
  await page.getByRole('textbox', { name: 'Your name' }).fill(name);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
}

/** Whoever waits: packets that came, people whom the page knows, words of the chat. */
async function known({ page }) {
  const { participants, events, publications } = await page.evaluate(() => window.plenum.state());
  const inbound = await page.evaluate(async () => {
    const counts = await Promise.all(['audio', 'video'].map((kind) => window.__kit.inbound(kind).catch(() => null)));
    return counts.reduce((sum, one) => sum + (one?.packets ?? one?.packetsReceived ?? 0), 0);
  });
  return { inbound, people: participants.length, events: events.length, publications: publications.length };
}
const NOTHING = { inbound: 0, people: 0, events: 0, publications: 0 };

test('a guest who comes first waits, and so does the page', { timeout: 30_000 }, async () => {
  await knock(bob, 'Bob');
  await bob.page.getByRole('heading', { name: 'Someone will let you in' }).waitFor();
  await shot(bob, 'waiting');
  await bob.page.setViewportSize({ width: 390, height: 780 });
  await shot(bob, 'waiting-390');
  await bob.page.setViewportSize({ width: 960, height: 600 });
  assert.equal(await bob.page.locator('video:visible').count(), 0, 'not even the own picture');
  assert.deepEqual(await known(bob), NOTHING);
});

test('who decides is told who waits; who waits learns nothing of what goes on inside', { timeout: 30_000 }, async () => {
  await join(ada, meeting.joinWebUrl, 'Ada');
  await ada.page.getByRole('button', { name: 'Admit Bob' }).waitFor();
  await shot(ada, 'notice');
  await sendChat(ada, 'nobody else is to read this yet');
  // The guest's microphone may be switched off and on while waiting.
  await press(bob, 'Microphone on');
  await press(bob, 'Microphone off');
  assert.deepEqual(await known(bob), NOTHING);
  assert.doesNotMatch(await bob.page.evaluate(() => document.body.innerText), /Ada/, 'no hint of who is inside');
});

test('a hostile client in the lobby is refused whatever it asks, by every door', { timeout: 30_000 }, async () => {
  const ticket = (await hacked.join(meeting.joinWebUrl, 'Mallory')).body;
  assert.equal(ticket.isInLobby, true);
  assert.equal((await hacked.connect(ticket.token)).type, 'lobby');
  const me = ticket.participantId;
  for (const wish of [
    { type: 'offer', sdp: 'v=0\r\n' },
    { type: 'chat', clientMessageId: 'x', text: 'let me in' },
    { type: 'mute', kind: 'microphone', muted: false },
    { type: 'admit', participantId: me },
    { type: 'admitAll' },
    { type: 'setRole', participantId: me, role: 'coorganizer' },
    { type: 'lock', locked: false },
    { type: 'record', action: 'start' },
  ]) {
    await assert.rejects(hacked.request(wish), /in_lobby/, wish.type);
  }
  await assert.rejects(hacked.offer({ audio: 'device', video: 'device', audioSlots: 1, videoSlots: 4 }), /in_lobby/);
  for (const url of [ticket.whipUrl, ticket.whepUrl]) {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${ticket.token}`, 'content-type': 'application/sdp' },
      body: 'v=0\r\n',
    });
    assert.equal(answer.status, 403, url);
    assert.equal((await answer.json()).error.code, 'in_lobby');
  }
  const heard = await mallory.page.evaluate(() => [...new Set(window.stranger.messages.map(({ type }) => type))].sort());
  assert.deepEqual(heard, ['error', 'lobby']);
  const { roster, publications, events } = await hacked.state();
  assert.deepEqual([roster, publications, events], [{}, {}, []]);
  assert.equal((await state(ada)).participants.length, 1);
  await press(ada, 'Deny Mallory');
  const { closed } = await until('the close', async () => {
    const now = await hacked.state();
    return now.closed && now;
  });
  assert.equal(closed.code, 4008);
  await assert.rejects(hacked.connect(ticket.token), /closed with 4008/);
});

test('who is admitted goes on with the same connection, and both see and hear each other', { timeout: 30_000 }, async () => {
  const sockets = await bob.page.evaluate(() => window.__kit.sockets.length);
  await press(ada, 'Admit Bob');
  await until('the meeting', async () => (await state(bob)).self);
  assert.equal(await bob.page.evaluate(() => window.__kit.sockets.length), sockets);
  await Promise.all([hears(ada, 1), hears(bob, 0), seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0)]);
  assert.equal((await state(bob)).events.some(({ text }) => text === 'nobody else is to read this yet'), true);
  // Coming back needs nobody.
  await bob.page.reload();
  await until('the place in the meeting', async () => (await state(bob)).self);
  await seesMotion(ada, 'Bob', 1);
});

test('hands and reactions, by keyboard', { timeout: 30_000 }, async () => {
  await bob.page.keyboard.press('Control+Shift+K');
  await until('the hand', async () => (await state(ada)).participants.some(({ displayName, hand }) => displayName === 'Bob' && hand === 1));
  await press(bob, 'React');
  await press(bob, 'Applause');
  await until('the sign', () => ada.page.locator('.sign').filter({ hasText: 'Bob' }).isVisible());
  await press(ada, 'People');
  await shot(ada, 'people');
  await press(ada, 'Lower the hand of Bob');
  await bob.page.getByRole('button', { name: 'Raise hand' }).waitFor();
});

test('an attendee shares no more, and under a hard mute does not unmute', { timeout: 30_000 }, async () => {
  await bob.page.getByRole('button', { name: 'Share screen' }).waitFor();
  await ada.page.getByRole('combobox', { name: 'Role of Bob' }).selectOption('attendee');
  await until('the role', async () => (await state(bob)).role === 'attendee');
  assert.equal(await bob.page.getByRole('button', { name: 'Share screen' }).isVisible(), false);
  await press(ada, 'Meeting options');
  await ada.page.getByRole('checkbox', { name: 'Attendees may switch their microphones on' }).uncheck();
  await shot(ada, 'options');
  await press(ada, 'Save');
  await until('silence', async () => !(await ada.page.evaluate(() => window.__kit.heard())).includes(1));
  await bob.page.getByText('That is switched off for attendees').waitFor();
  await press(bob, 'Unmute');
  await until('no way', async () => (await state(ada)).participants.every(({ displayName, microphoneMuted }) => displayName !== 'Bob' || microphoneMuted));
  assert.equal((await ada.page.evaluate(() => window.__kit.heard())).includes(1), false);
  await ada.page.getByRole('combobox', { name: 'Role of Bob' }).selectOption('presenter');
  await until('the role', async () => (await state(bob)).role === 'presenter');
  await press(bob, 'Unmute');
  await hears(ada, 1);
});

test('a removed person with a fresh profile waits although everybody walks in', { timeout: 60_000 }, async () => {
  await press(ada, 'Meeting options');
  await ada.page.getByRole('combobox', { name: 'Who comes in without waiting' }).selectOption('everyone');
  await press(ada, 'Save');
  await until('an open meeting', async () => !(await ticketFor(server, meeting.joinWebUrl, 'Probe')).isInLobby);
  await press(ada, 'Remove Bob');
  await press(ada, 'Remove');
  await bob.page.getByRole('heading', { name: 'You were removed' }).waitFor();
  await bob.close();
  bob = await openBrowser({ person: 2 });
  await knock(bob, 'Somebody new');
  await bob.page.getByRole('heading', { name: 'Someone will let you in' }).waitFor();
  await ada.page.getByRole('button', { name: 'Admit Somebody new' }).waitFor();
  assert.deepEqual(await known(bob), NOTHING);
  assert.equal((await state(ada)).participants.length, 1);
  await shot(ada, 'panel');
  await press(ada, 'Admit Somebody new');
  await seesMotion(ada, 'Somebody new', 2);
});

test('a locked meeting holds whoever comes, and opens for them when it is unlocked', { timeout: 30_000 }, async () => {
  await press(ada, 'Meeting options');
  await ada.page.getByRole('checkbox', { name: /^Guests wait in the lobby/ }).uncheck();
  await press(ada, 'Save');
  await press(ada, 'Lock the meeting');
  await until('the lock', async () => (await state(ada)).order.options.isLocked);
  const ticket = (await hacked.join(meeting.joinWebUrl, 'Late')).body;
  assert.deepEqual(await hacked.connect(ticket.token), { type: 'lobby', state: 'waiting', reason: 'locked' });
  await press(ada, 'Lock the meeting');
  await until('the welcome', async () => (await hacked.state()).self === ticket.participantId);
});

test('no page complained, and all that was said is in the protocol', async () => {
  assert.deepEqual(await hacked.deviations(), []);
  assert.deepEqual([...ada.complaints, ...bob.complaints], []);
});

/**
 * The page of a recording: by the link in the chat to the player, which plays, seeks, shows who spoke and what was written; while
 * the meeting runs, by a shared link, deleted and brought back, and with a grid that is made of it.
 *
 * How it is known what is played: the kit's cameras paint their person and a counter, the composed picture is read like a tile.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { writeFileSync } from 'node:fs';
import { join as path } from 'node:path';
import { openBrowser } from './kit/browser.mjs';
import { judge, SIZES } from './kit/judge.mjs';
import { createMeeting, hears, join, openOrganiser, press, seesMotion, sendChat } from './kit/meeting.mjs';
import { pictures, videoTimes } from './kit/recorded.mjs';
import { startServer } from './kit/server.mjs';
import { report, until } from './kit/wait.mjs';

/** Recorded before anybody looks, and until the message is written. */
const RECORD_MS = 12_000;
const MESSAGE = 'This was written in the middle of it';

let server;
let ada;
let bob;
let meeting;
let id;
/** The page of the recording, of the organiser. */
let page;
/** When it started, and when the message was sent, by this clock. */
let started;
let written;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1, words: true })]);
  meeting = await createMeeting(ada, 'Watched later');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await join(bob, meeting.joinWebUrl, 'Bob');
  await Promise.all([seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0), hears(ada, 1), hears(bob, 0)]);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const button = (name, where = page) => where.getByRole('button', { name, exact: true });
/** What the player is at, as the page has it. */
const player = (where = page) => where.evaluate(() => {
  const video = document.querySelector('.player video');
  const { totalVideoFrames } = video.getVideoPlaybackQuality();
  return {
    at: video.currentTime,
    paused: video.paused,
    length: video.duration,
    rate: video.playbackRate,
    ready: video.readyState,
    seeking: video.seeking,
    frames: totalVideoFrames,
    error: video.error?.message ?? null,
    source: video.getAttribute('src'),
    picture: window.__kit.picture(video),
    bytesOfSound: video.webkitAudioDecodedByteCount,
  };
});
const plays = async (where = page) => {
  const from = await player(where);
  return until('the player to go on', async () => {
    const now = await player(where);
    if (now.error) throw new Error(now.error);
    return now.at > from.at + 0.5 && now.frames > from.frames && now.bytesOfSound > from.bytesOfSound && now;
  }, { timeout: 20_000 });
};
/** Which tones the player's sound holds right now, by the kit's ear. */
const tones = (where = page) => where.evaluate(() => {
  const video = document.querySelector('.player video');
  window.__sound ??= video.captureStream().getAudioTracks()[0];
  return window.__kit.tonesIn(window.__sound);
});
/** As a drag of the seek bar. */
const seekTo = (at) => page.evaluate((to) => {
  const bar = document.querySelector('[data-seek]');
  bar.value = String(to);
  bar.dispatchEvent(new Event('input', { bubbles: true }));
}, at);
const idle = (where = page) => until('the place to be reached', async () => {
  const { seeking, ready } = await player(where);
  return !seeking && ready >= 2;
});
const json = (path, where = page) => where.evaluate((url) => fetch(url, { headers: { accept: 'application/json' } }).then((answer) => answer.json()), path);

test('while it is recorded its page plays what is there, and loads what came since', { timeout: 120_000 }, async (t) => {
  await press(ada, 'Record');
  await until('the recording', () => ada.page.evaluate(() => window.plenum.state().recording?.state === 'on'));
  started = performance.now();
  id = await ada.page.evaluate(() => window.plenum.state().recording.recordingId);
  await until('half of it', () => performance.now() - started > RECORD_MS / 2);
  await sendChat(ada, MESSAGE);
  written = performance.now() - started;
  page = await ada.context.newPage();
  const opened = performance.now();
  await page.goto(`${server.url}/v1/recordings/${id}`);
  await page.getByText(/It is still being recorded; \d+:\d\d so far\./).waitFor();
  await until('the length', async () => (await player()).length > 2);
  report(t, 'page with the length of what is there', performance.now() - opened);
  const first = await player();
  assert.match(first.source, /\?upto=\d+$/);
  await press({ page }, 'Play');
  await plays();
  await until('a picture of somebody', async () => (await player()).picture);
  await press({ page }, 'Pause');
  const before = await player();
  await button('Load what came since').waitFor({ timeout: 20_000 });
  await until('enough to come', () => performance.now() - started > RECORD_MS + 4_000);
  await press({ page }, 'Load what came since');
  const now = await until('more of it', async () => {
    const state = await player();
    return state.length > first.length + 2 && state.ready >= 2 && !state.seeking && state;
  });
  report(t, 'snapshot', `${first.length.toFixed(1)} s, then ${now.length.toFixed(1)} s`, '');
  assert.ok(Math.abs(now.at - before.at) < 0.3, `the place is kept: ${before.at} and ${now.at}`);
  assert.equal(now.paused, true);
  await judge({ page }, 'recording-live');
});

test('when it is over the page notices, and plays the whole from where it was', { timeout: 90_000 }, async (t) => {
  await press(ada, 'Stop recording');
  const stopped = performance.now();
  await page.getByText('The recording is complete now.').waitFor({ timeout: 40_000 });
  report(t, 'noticed after Stop recording', performance.now() - stopped);
  const before = await player();
  await press({ page }, 'Load the whole recording');
  await until('the whole', async () => {
    const { source, at, ready } = await player();
    return source === `/v1/recordings/${id}/content` && ready >= 2 && Math.abs(at - before.at) < 0.3;
  });
  await page.close();
});

test('the link in the chat opens the page, and it plays with sound and picture', { timeout: 60_000 }, async (t) => {
  const link = ada.page.locator('a[href*="/recordings/"]').first();
  await link.waitFor({ timeout: 30_000 });
  const pressed = performance.now();
  [page] = await Promise.all([ada.context.waitForEvent('page'), link.click()]);
  await page.getByRole('heading', { level: 1, name: 'Watched later' }).waitFor();
  await press({ page }, 'Play');
  await until('a picture in motion', async () => (await player()).frames > 5);
  report(t, 'from the click on the link to a picture in motion', performance.now() - pressed);
  const state = await plays();
  assert.ok(state.length > RECORD_MS / 1000 && state.length < 120, `${state.length} s`);
  await until('both voices', async () => {
    const heard = await tones();
    return heard.includes(0) || heard.includes(1);
  });
  assert.deepEqual(ada.complaints, []);
});

test('a seek to the middle shows the picture of the middle', { timeout: 60_000 }, async (t) => {
  await press({ page }, 'Pause');
  // What stands there by another decoder, which goes through the file frame by frame.
  const file = path(server.data, 'content.webm');
  writeFileSync(file, Buffer.from(await (await page.request.get(`${server.url}/v1/recordings/${id}/content`)).body()));
  const [stamps, { codes, errors }] = [await videoTimes(file), await pictures(file)];
  assert.equal(errors, '');
  assert.equal(stamps.length, codes.length);
  const { length } = await player();
  for (const at of [length / 2, length / 2 + 1, length / 2 + 2]) {
    const from = performance.now();
    await seekTo(at);
    await idle();
    const { picture } = await until('a readable picture', async () => {
      const state = await player();
      return state.picture && Math.abs(state.at - at) < 0.2 && state;
    });
    report(t, `seek to ${at.toFixed(1)} s`, performance.now() - from);
    const frame = stamps.findLastIndex((stamp) => stamp <= at);
    const near = codes.slice(frame - 1, frame + 2);
    assert.ok(near.some((code) => code?.person === picture.person && code.counter === picture.counter), `${JSON.stringify(picture)} is one of ${JSON.stringify(near)}`);
  }
});

test('at double speed a second takes half of one', { timeout: 60_000 }, async (t) => {
  await page.getByRole('combobox', { name: 'Speed' }).selectOption('2');
  await page.getByRole('slider', { name: 'Position' }).press('Home');
  await idle();
  await press({ page }, 'Play');
  const from = await plays();
  const began = performance.now();
  const to = await until('four more seconds', async () => {
    const state = await player();
    return state.at > from.at + 4 && state;
  });
  const speed = ((to.at - from.at) * 1000) / (performance.now() - began);
  report(t, 'speed', speed.toFixed(2), 'times');
  assert.equal(to.rate, 2);
  assert.ok(speed > 1.6 && speed < 2.4, `${speed}`);
  await press({ page }, 'Pause');
  await page.getByRole('combobox', { name: 'Speed' }).selectOption('1');
});

test('a lane for each who spoke: a click goes there, the name to their next turn, and who speaks is marked', { timeout: 60_000 }, async () => {
  const timeline = await json(`/v1/recordings/${id}/timeline`);
  const lanes = page.locator('.lane');
  const names = await lanes.locator('.lane-name').allTextContents();
  assert.deepEqual([...names].sort(), ['Ada', 'Bob']);
  const ofAda = timeline.participants.find(({ name }) => name === 'Ada').id;
  const turn = timeline.speaking.find(({ participant }) => participant === ofAda);
  const middle = (turn.fromMs + turn.toMs) / 2;
  // What plays would come by there by itself.
  await page.evaluate(() => document.querySelector('.player video').pause());
  const track = lanes.filter({ hasText: 'Ada' }).locator('.lane-track');
  const { width } = await track.boundingBox();
  await track.click({ position: { x: (width * middle) / timeline.durationMs, y: 10 } });
  await until('the place of the click', async () => Math.abs((await player()).at * 1000 - middle) < timeline.durationMs / 50);
  await until('who speaks to be marked', async () => (await lanes.filter({ hasText: 'Ada' }).getAttribute('data-speaking')) === 'true');
  await page.getByRole('slider', { name: 'Position' }).press('Home');
  await page.getByRole('button', { name: /^Bob spoke/ }).press('Enter');
  const ofBob = timeline.participants.find(({ name }) => name === 'Bob').id;
  const next = timeline.speaking.find(({ participant, fromMs }) => participant === ofBob && fromMs > 1);
  await until('Bob’s next turn', async () => Math.abs((await player()).at * 1000 - next.fromMs) < 100);
});

test('by keyboard: seek, leap, louder, faster, sound off, play', { timeout: 60_000 }, async () => {
  await page.getByRole('slider', { name: 'Position' }).press('Home');
  await until('the start', async () => (await player()).at < 0.1);
  await page.keyboard.press('ArrowRight');
  await until('five seconds', async () => Math.abs((await player()).at - 5) < 0.1);
  await page.keyboard.press('l');
  await until('ten more, or the end', async () => (await player()).at > 10);
  await page.keyboard.press('j');
  await page.keyboard.press('ArrowLeft');
  await until('back', async () => (await player()).at < 6);
  const volume = () => page.evaluate(() => [document.querySelector('.player video').volume, document.querySelector('.player video').muted]);
  await page.keyboard.press('ArrowDown');
  assert.deepEqual(await volume(), [0.9, false]);
  await page.keyboard.press('m');
  await button('Sound on').waitFor();
  await page.keyboard.press('m');
  assert.deepEqual(await volume(), [0.9, false]);
  await page.keyboard.press('>');
  assert.equal((await player()).rate, 1.25);
  await page.keyboard.press('<');
  await page.keyboard.press('k');
  await until('it to play', async () => !(await player()).paused);
  await page.keyboard.press(' ');
  await until('it to stop', async () => (await player()).paused);
  await page.keyboard.press('f');
  await button('Leave full screen').waitFor();
  await page.keyboard.press('f');
  await button('Full screen').waitFor();
  const stops = new Set();
  await page.locator('.brand').focus();
  for (let n = 0; n < 40; n += 1) {
    await page.keyboard.press('Tab');
    stops.add(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim()));
  }
  for (const name of ['Position', 'Play', 'Mute', 'Volume', 'Speed', 'Download', 'Full screen', 'Make a link', 'Delete the recording']) {
    assert.ok(stops.has(name), `Tab reaches ${name}: ${[...stops].join(', ')}`);
  }
});

test('a message of the chat appears at its time, and a click on it goes there', { timeout: 60_000 }, async (t) => {
  const line = page.locator('.player-chat-line', { hasText: MESSAGE });
  const { value } = await json(`/v1/recordings/${id}/chat?format=json`);
  const { offsetMs } = value.find(({ text }) => text === MESSAGE);
  report(t, 'message', `sent ${Math.round(written)} ms after the start by our clock, at ${offsetMs} ms in the recording`, '');
  assert.ok(Math.abs(offsetMs - written) < 2_000);
  await page.getByRole('slider', { name: 'Position' }).press('Home');
  await until('it to be hidden', async () => !(await line.isVisible()));
  await seekTo(offsetMs / 1000 - 1.5);
  await idle();
  await press({ page }, 'Play');
  await line.waitFor();
  const { at } = await player();
  report(t, 'message shown at', at * 1000 - offsetMs, 'ms after its time');
  assert.ok(at * 1000 > offsetMs - 50 && at * 1000 < offsetMs + 1_000, `${at}`);
  await press({ page }, 'Pause');
  await page.getByRole('slider', { name: 'Position' }).press('End');
  await line.getByRole('button').click();
  await until('its time', async () => Math.abs((await player()).at * 1000 - offsetMs) < 100);
});

test('for everybody: axe, targets, a phone', { timeout: 90_000 }, async () => {
  await judge({ page }, 'recording', [...SIZES, { width: 320, height: 640 }]);
  await press({ page }, 'Download');
  await page.getByRole('link', { name: /The whole recording/ }).waitFor();
  await judge({ page }, 'recording-files');
  await page.keyboard.press('Escape');
});

test('a grid is made with its progress, and plays', { timeout: 180_000 }, async (t) => {
  const ordered = performance.now();
  await page.getByRole('combobox', { name: 'Layout of the grid' }).selectOption('tiles');
  await press({ page }, 'Make a grid video');
  const row = page.locator('[data-rendition="grid-tiles"]');
  await row.waitFor();
  const states = new Set();
  await until('the grid', async () => {
    states.add(await row.locator('.hint').first().textContent());
    const state = await row.getAttribute('data-state');
    if (state === 'failed') throw new Error(await row.textContent());
    return state === 'ready';
  }, { timeout: 150_000 });
  report(t, 'grid', performance.now() - ordered);
  report(t, 'said meanwhile', [...states].join(' | '), '');
  assert.ok(states.size >= 2, 'progress is said');
  const link = row.getByRole('link', { name: /Grid of tiles/ });
  const href = (await link.getAttribute('href')).replace('?download=1', '');
  const file = await page.evaluate((src) => new Promise((resolve, reject) => {
    const video = document.createElement('video');
    video.muted = true;
    video.src = src;
    video.onerror = () => reject(new Error(video.error.message));
    video.ontimeupdate = () => video.currentTime > 1 && resolve({ width: video.videoWidth, length: video.duration, frames: video.getVideoPlaybackQuality().totalVideoFrames });
    void video.play();
  }), href);
  assert.ok(file.width >= 640 && file.frames > 5, JSON.stringify(file));
  await press({ page }, 'Download');
  await page.locator('#player-files').getByRole('link', { name: /Grid of tiles/ }).waitFor();
  await page.keyboard.press('Escape');
});

test('by a shared link it opens without an account, until the link is turned off', { timeout: 60_000 }, async (t) => {
  await press({ page }, 'Make a link');
  const field = page.getByRole('textbox', { name: 'Link to the recording' });
  await until('the link', async () => (await field.inputValue()) !== '');
  const guest = await bob.browser.newContext();
  try {
    const theirs = await guest.newPage();
    const opened = performance.now();
    await theirs.goto(await field.inputValue());
    await theirs.getByRole('heading', { level: 1, name: 'Watched later' }).waitFor();
    await theirs.getByRole('button', { name: 'Play', exact: true }).click();
    await until('it to play for them', () => theirs.evaluate(() => document.querySelector('.player video').currentTime > 0.3));
    report(t, 'played by the link', performance.now() - opened);
    assert.equal(new URL(theirs.url()).pathname, `/v1/recordings/${id}`, 'the secret does not stay in the address');
    for (const name of ['Delete the recording', 'Make a link', 'Make a grid video']) {
      assert.equal(await theirs.getByRole('button', { name }).filter({ visible: true }).count(), 0, name);
    }
    assert.equal(await theirs.getByText(MESSAGE).filter({ visible: true }).count(), 0, 'the chat is for those who were there');
    await press({ page }, 'Turn the link off');
    await page.getByText('Only those see it who may.').waitFor();
    await theirs.reload();
    await theirs.getByRole('heading', { name: 'Sign in to see this recording' }).waitFor();
    await judge({ page: theirs }, 'recording-refused');
  } finally {
    await guest.close();
  }
});

test('how long it is kept can be said', { timeout: 30_000 }, async () => {
  const year = new Date().getFullYear() + 1;
  await page.getByLabel('Delete it after').fill(`${year}-03-01`);
  await press({ page }, 'Save the date');
  await page.getByText(new RegExp(`It is deleted by itself on .*${year}`)).waitFor();
  assert.equal((await json(`/v1/recordings/${id}`)).expirationDateTime.slice(0, 4), String(year));
  await press({ page }, 'Keep it for good');
  await page.getByText('It is kept until somebody deletes it.').waitFor();
});

test('deleted it says so, and is brought back', { timeout: 60_000 }, async () => {
  await press({ page }, 'Delete the recording');
  await press({ page }, 'Delete');
  await page.getByRole('heading', { name: 'This recording was deleted' }).waitFor();
  await page.reload();
  await button('Restore').waitFor();
  assert.equal((await page.request.get(`${server.url}/v1/recordings/${id}`, { headers: { accept: 'text/html' } })).status(), 410);
  await judge({ page }, 'recording-deleted');
  await page.goto(`${server.url}/#/recordings/deleted`);
  await page.getByRole('heading', { name: 'Watched later' }).waitFor();
  await judge({ page }, 'recordings-deleted');
  await page.goto(`${server.url}/v1/recordings/${id}`);
  await press({ page }, 'Restore');
  await button('Play').waitFor();
  await press({ page }, 'Play');
  await plays();
});

test('the list says what there is and leads there; what does not exist is said', { timeout: 60_000 }, async () => {
  await page.goto(server.url);
  await page.getByRole('link', { name: 'Recordings', exact: true }).first().click();
  const link = page.getByRole('link', { name: 'Watched later' });
  await link.waitFor();
  await judge({ page }, 'recordings');
  await link.click();
  await button('Play').waitFor();
  await page.goto(`${server.url}/v1/recordings/rec_00000000000000000000000000`);
  await page.getByRole('heading', { name: 'There is no such recording' }).waitFor();
});

test('without script there are plain links', { timeout: 30_000 }, async () => {
  const plain = await ada.browser.newContext({ javaScriptEnabled: false, storageState: await ada.context.storageState() });
  try {
    const theirs = await plain.newPage();
    await theirs.goto(`${server.url}/v1/recordings/${id}`);
    await theirs.getByRole('heading', { name: 'Recording: Watched later' }).waitFor();
    for (const what of ['content', ...[0, 1, 2, 3].map((n) => `tracks/${n}/content`)]) {
      assert.equal(await theirs.locator(`a[href="/v1/recordings/${id}/${what}"]`).filter({ visible: true }).count(), 1, what);
    }
  } finally {
    await plain.close();
  }
});

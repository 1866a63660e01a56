/**
 * One Firefox a participant, driven over WebDriver BiDi, with the few calls of Playwright's pages that the helpers use.
 *
 * Firefox plays no files as devices. Its fake microphone hums at the person's tone, and the page's `getUserMedia` gives a
 * painted camera (painted.mjs), so that the same readers find the same people.
 *
 * Firefox gathers no loopback addresses. Tests that use it run in a network of their own (network.mjs).
 */
import { after } from 'node:test';
import puppeteer from 'puppeteer-core';
import { firefox as executablePath } from './env.mjs';
import { TONES } from './media.mjs';
import { painted } from './painted.mjs';
import { readers } from './read.mjs';

const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.autoplay.block-webaudio': false,
  'permissions.default.camera': 1,
  'permissions.default.microphone': 1,
  'app.update.auto': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

const open = new Set();
after(() => Promise.all([...open].map((browser) => browser.close())), { timeout: 30_000 });

/** @param {{ person: number }} options whose camera and microphone (0..5) */
export async function openFirefox({ person }) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    timeout: 60_000,
    extraPrefsFirefox: { ...PREFERENCES, 'media.navigator.audio.fake_frequency': TONES[person] },
    defaultViewport: { width: 960, height: 600 },
  });
  open.add(browser);
  const [page] = await browser.pages();
  page.setDefaultTimeout(15_000);
  await page.evaluateOnNewDocument(readers());
  await page.evaluateOnNewDocument(`${painted()}
(${devicesInPage.toString()})(${person});`);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  return {
    browser,
    page: facade(page),
    person,
    complaints,
    close: async () => {
      open.delete(browser);
      await browser.close();
    },
  };
}

/** What the helpers of meeting.mjs call, said to Puppeteer. */
function facade(page) {
  const element = (role, name) => {
    const find = () => page.locator(`::-p-aria([name="${name}"][role="${role}"])`);
    return {
      waitFor: () => find().wait(),
      click: () => find().click(),
      fill: (text) => find().fill(text),
    };
  };
  return {
    getByRole: (role, { name }) => element(role, name),
    goto: (url) => page.goto(url),
    url: () => page.url(),
    evaluate: (run, argument) => page.evaluate(run, argument),
    screenshot: (options) => page.screenshot(options),
  };
}

/* c8 ignore start: runs in the page */
function devicesInPage(person) {
  if (!navigator.mediaDevices) return; // about:blank is no secure page
  const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  navigator.mediaDevices.getUserMedia = async ({ audio, video }) => {
    const microphone = audio ? (await own({ audio: plain })).getAudioTracks() : [];
    return new MediaStream([...microphone, ...(video ? window.__painted(person).stream.getVideoTracks() : [])]);
  };
}
/* c8 ignore stop */

/**
 * One Chromium a participant: fake devices are chosen by command line, so that each person needs a process of their own.
 */
import { after } from 'node:test';
import { chromium as playwright } from 'playwright-core';
import { chromium as executablePath } from './env.mjs';
import { devicesOf } from './media.mjs';
import { installReaders } from './read.mjs';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
  '--use-fake-device-for-media-stream',
  // Local addresses are plain in candidates: no mDNS responder on a test machine.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

/** What a failed test left open must not keep the run from ending. */
const open = new Set();
after(() => Promise.all([...open].map((browser) => browser.close())), { timeout: 30_000 });

/**
 * @param {object} options
 * @param {number} [options.person] whose camera and microphone (0..5); none means Chromium's own fake devices
 * @param {boolean} [options.words] the microphone's tone comes in words and pauses
 * @param {boolean} [options.allow] whether device prompts are answered with yes (default) or never
 * @param {string[]} [options.args] further flags
 * @param {import('playwright-core').BrowserContextOptions} [options.context]
 */
export async function openBrowser({ person, words = false, allow = true, args = [], context: contextOptions = {} } = {}) {
  const flags = [...FLAGS, ...args];
  if (allow) flags.push('--use-fake-ui-for-media-stream');
  if (person !== undefined) {
    const { camera, microphone } = devicesOf(person, { words });
    flags.push(`--use-file-for-fake-video-capture=${camera}`, `--use-file-for-fake-audio-capture=${microphone}`);
  }
  const browser = await playwright.launch({ executablePath, headless: true, args: flags, timeout: 30_000 });
  open.add(browser);
  browser.on('disconnected', () => open.delete(browser));
  const context = await browser.newContext({ viewport: { width: 960, height: 600 }, ...contextOptions });
  context.setDefaultTimeout(15_000);
  await installReaders(context);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  return { browser, context, page, person, complaints, close: () => browser.close() };
}

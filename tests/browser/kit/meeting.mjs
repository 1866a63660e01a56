/**
 * A person in a meeting, driven through the page's accessible names alone, as any outside test could.
 */
import assert from 'node:assert/strict';
import { openBrowser } from './browser.mjs';
import { until } from './wait.mjs';

/** Opens a browser signed in as organiser by a fresh link. */
export async function openOrganiser(server, options = {}) {
  const organiser = await openBrowser(options);
  await organiser.page.goto(await server.link());
  // A browser that starts on a busy machine takes its time.
  await organiser.page.getByRole('button', { name: 'New meeting' }).waitFor({ timeout: 45_000 });
  return organiser;
}

/**
 * A meeting by the API, with the organiser's session.
 *
 * @param {object} [options] of the meeting, such as `{ canAnonymousStart: true }` where the organiser stays away
 */
export async function createMeeting({ page }, subject = 'Standup', options = {}) {
  return page.evaluate(async (wishes) => {
    const response = await fetch('/v1/onlineMeetings', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(wishes),
    });
    if (response.status !== 201) throw new Error(`creating a meeting: ${response.status} ${await response.text()}`);
    return response.json();
  }, { subject, ...options });
}

const button = (page, name) => page.getByRole('button', { name, exact: true });

/** What a program gets that joins by the link: token, and where to publish and to play. @returns {Promise<any>} */
export async function ticketFor(server, joinWebUrl, displayName) {
  const response = await fetch(`${server.url}/v1/join`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ joinWebUrl, displayName }),
  });
  assert.equal(response.status, 200);
  return response.json();
}

/**
 * Opens the join page, gives a name, presses Join and waits for the meeting.
 * @returns {Promise<number>} `performance.now()` at the press
 */
export async function join({ page }, joinWebUrl, name) {
  await page.goto(joinWebUrl);
  await page.getByRole('textbox', { name: 'Your name' }).fill(name);
  const pressed = performance.now();
  await button(page, 'Join').click();
  await button(page, 'Leave').waitFor();
  await until('the place in the meeting', () => page.evaluate(() => window.plenum?.state().self));
  return pressed;
}

/** Presses a button by its accessible name. */
export const press = ({ page }, name) => button(page, name).click();

const tiles = (viewer) => viewer.page.evaluate(() => window.__kit.tiles());

/** Waits until the tile of `name` shows `person`. @returns {Promise<{counter: number}>} */
export function seesPicture(viewer, name, person, options) {
  return until(`person ${person} in the tile of ${name}`, async () => {
    const seen = await tiles(viewer);
    const tile = seen.find((one) => one.name === name && one.live && one.picture?.person === person);
    if (!tile) throw new Error(`tiles ${JSON.stringify(seen)}`);
    return tile.picture;
  }, options);
}

/** Waits until the tile of `name` shows `person` in motion: two different frames. */
export async function seesMotion(viewer, name, person, options) {
  const first = await seesPicture(viewer, name, person, options);
  await until(`motion in the tile of ${name}`, async () => (await seesPicture(viewer, name, person, options)).counter !== first.counter, options);
}

/** Waits until the tone of `person` stands out in what the viewer receives. */
export function hears(viewer, person, options) {
  return until(`the tone of person ${person}`, async () => {
    const heard = await viewer.page.evaluate(() => window.__kit.heard());
    return heard.includes(person);
  }, options);
}

/** The participant that the page is, as its own code says. */
export const selfOf = ({ page }) => page.evaluate(() => window.plenum.state().self);

/** How much session description a page has seen. */
export const sdpSeen = ({ page }) => page.evaluate(() => ({ ...window.__kit.sdp, negotiations: window.plenum.negotiations }));

/** Opens the chat if it is closed. */
export async function openChat(viewer) {
  const box = viewer.page.getByRole('textbox', { name: 'Message' });
  if (!(await box.isVisible())) await press(viewer, 'Chat');
  await box.waitFor();
}

export async function sendChat(viewer, text) {
  await openChat(viewer);
  await viewer.page.getByRole('textbox', { name: 'Message' }).fill(text);
  await press(viewer, 'Send');
}

/** Waits until a chat text is on the page, exactly `times` times. */
export async function seesChat(viewer, text, times = 1, options) {
  await openChat(viewer);
  const line = viewer.page.getByText(text, { exact: true });
  await until(`"${text}" in the chat`, async () => (await line.count()) >= times, options);
  assert.equal(await line.count(), times, `"${text}" stands in the chat ${times} time(s)`);
}

/** Sends a participant's media through another UDP port (the impairment proxy), by editing the answer it gets. */
export async function routeMedia({ context }, port) {
  await context.addInitScript((mediaPort) => {
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (description) {
      const sdp = description.sdp.replace(/^(a=candidate:\S+ \d+ udp \d+) \S+ \d+/gim, `$1 127.0.0.1 ${mediaPort}`);
      return original.call(this, { type: description.type, sdp });
    };
  }, port);
}

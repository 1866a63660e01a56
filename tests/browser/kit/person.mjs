/**
 * Signed-in people: with a page of their own, or as a program that calls with a token and listens to the feed.
 */
import { openBrowser } from './browser.mjs';
import { until } from './wait.mjs';

/**
 * A browser that is somebody by their token: it goes along with each request and the feed's first message, as a session
 * cookie would. @param {any} server @param {string} name @param {object} [options]
 */
export async function openPerson(server, name, options = {}) {
  const token = await server.token(name);
  const browser = await openBrowser(options);
  const headers = (route) => ({ ...route.request().headers(), authorization: `Bearer ${token}` });
  // What is under way when the browser is closed is nobody's any more.
  await browser.context.route(/\/v1\//, (route) => route.continue({ headers: headers(route) }).catch(() => {}));
  await browser.context.routeWebSocket(/\/v1\/live$/, (page) => {
    const live = page.connectToServer();
    page.onMessage((text) => {
      const message = JSON.parse(String(text));
      live.send(JSON.stringify(message.type === 'subscribe' ? { ...message, token } : message));
    });
  });
  return browser;
}

/** @param {any} server @param {string} name */
export async function signedIn(server, name) {
  const token = await server.token(name);
  /** @returns {Promise<any>} */
  const call = async (method, path, body) => {
    const response = await fetch(server.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  };
  const { userId } = await call('GET', '/v1/me');
  let written = 0;
  return {
    name,
    userId,
    call,
    /** Writes, and gives the stored event. */
    say: (chat, text, more = {}) => {
      written += 1;
      return call('POST', `/v1/chats/${chat}/messages`, { clientMessageId: `${name}-${written}`, text, ...more });
    },
    messages: async (chat) => (await call('GET', `/v1/chats/${chat}/messages`)).value.filter(({ kind }) => kind === 'message'),
    /** Listens from now on, in a page that it opens for its WebSocket. @param {{ context: import('playwright-core').BrowserContext }} browser */
    listen: async ({ context }) => {
      const page = await context.newPage();
      await page.goto(`${server.url}/healthz`);
      await page.evaluate((bearer) => {
        window.heard = [];
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/live`, 'plenum.v1');
        socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', token: bearer }));
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === 'ping') socket.send('{"type":"pong"}');
          else window.heard.push(message);
        };
      }, token);
      /** @param {string} what @param {(message: any) => boolean} is @returns {Promise<any>} */
      const hears = (what, is) => until(`${name} to hear ${what}`, async () => (await page.evaluate(() => window.heard)).find(is));
      await hears('that it begins', ({ type }) => type === 'subscribed');
      return { hears, close: () => page.close() };
    },
  };
}

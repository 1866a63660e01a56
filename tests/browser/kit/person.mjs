/**
 * A signed-in person without a page: calls with a token as a program makes them, and the feed over WebSocket.
 */
import { until } from './wait.mjs';

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

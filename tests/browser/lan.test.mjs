/**
 * `plenum --lan`: from another computer, so by HTTPS with the server's own certificate. The other computer is played by a
 * host name that the browser maps to this one.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { get } from 'node:http';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, hears, join, seesMotion } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';

const NAME = 'plenum.lan.test';
const options = {
  args: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`, '--ignore-certificate-errors'],
  context: { ignoreHTTPSErrors: true },
};

let server;
let ada;
let bob;

before(async () => {
  server = await startServer({ lan: true });
  [ada, bob] = await Promise.all([openBrowser({ person: 0, ...options }), openBrowser({ person: 1, ...options })]);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

test('plain http on the same port is redirected to https', { timeout: 30_000 }, async () => {
  const { status, location } = await new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: server.port, path: '/join/abc?x=1', headers: { host: `${NAME}:${server.port}` } }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, location: response.headers.location });
    }).on('error', reject);
  });
  assert.ok([301, 302, 307, 308].includes(status), `a redirect, not ${status}`);
  assert.equal(location, `https://${NAME}:${server.port}/join/abc?x=1`);
});

test('two people meet over https under a name of the local network', { timeout: 60_000 }, async () => {
  const key = (await server.link()).split('#key=')[1];
  const origin = `https://${NAME}:${server.port}`;
  await ada.page.goto(`${origin}/#key=${key}`);
  await ada.page.getByRole('button', { name: 'New meeting' }).waitFor();
  assert.ok(await ada.page.evaluate(() => window.isSecureContext), 'devices are only given to a secure page');
  const meeting = await createMeeting(ada, 'On my network');
  const link = new URL(meeting.joinWebUrl);
  assert.equal(link.protocol, 'https:');
  assert.equal(link.port, String(server.port));
  assert.notEqual(link.hostname, '0.0.0.0', 'a link that works from elsewhere');
  const joinUrl = `${origin}${link.pathname}`;
  await join(ada, joinUrl, 'Ada');
  await join(bob, joinUrl, 'Bob');
  await Promise.all([seesMotion(ada, 'Bob', 1), seesMotion(bob, 'Ada', 0), hears(ada, 1), hears(bob, 0)]);
});

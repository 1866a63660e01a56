/**
 * Some people, and one who watches them through one video and one audio slot, behind a bad network: everything that is shown
 * or heard of another person is a switch of that slot.
 */
import { openBrowser } from './browser.mjs';
import { seed } from './env.mjs';
import { createMeeting, openOrganiser } from './meeting.mjs';
import { startProxy } from './proxy.mjs';
import { startServer } from './server.mjs';
import { openStranger } from './stranger.mjs';
import { until } from './wait.mjs';

/**
 * @typedef {object} Plan of one person
 * @property {number} person
 * @property {import('./stranger.mjs').Media} media what they send
 * @property {string} [script] what is to run in their page before all else
 * @property {boolean} [noDevices] without the person's fake camera and microphone
 *
 * @typedef {object} Watched
 * @property {number} person
 * @property {string} participantId
 * @property {number} [camera] publication, as the CSRC names it
 * @property {number} [microphone]
 * @property {Awaited<ReturnType<typeof openStranger>>} client
 */

/**
 * @param {string} subject
 * @param {Plan[]} plans
 */
export async function openWatching(subject, plans) {
  const server = await startServer();
  const proxy = await startProxy({ udpTarget: server.port, seed });
  const browsers = [];
  const kept = (browser) => {
    browsers.push(browser);
    return browser;
  };
  const close = async () => {
    await Promise.all(browsers.map((one) => one.close()));
    proxy.close();
    await server.stop();
  };
  try {
    const { joinWebUrl } = await createMeeting(kept(await openOrganiser(server)), subject, { canAnonymousStart: true });
    const people = [];
    for (const { person, media, script, noDevices } of plans) {
      const browser = kept(await openBrowser(noDevices ? {} : { person }));
      if (script) await browser.context.addInitScript({ content: script });
      const client = await openStranger(browser.page, server.url);
      const { token, participantId } = (await client.join(joinWebUrl, `Person ${person}`)).body;
      await client.connect(token);
      const { publications } = await client.offer(media);
      const idOf = (kind) => publications.find((publication) => publication.kind === kind)?.id;
      people.push({ client, person, participantId, camera: idOf('camera'), microphone: idOf('microphone') });
    }
    const { page } = kept(await openBrowser({}));
    const watcher = await openStranger(page, server.url);
    await watcher.connect((await watcher.join(joinWebUrl, 'Watcher')).body.token);
    await watcher.offer({ audioSlots: 1, videoSlots: 1, mediaPort: proxy.udpPort });
    await until('the watcher to be connected', async () => (await watcher.state()).media === 'connected');
    return {
      server,
      proxy,
      people,
      watcher,
      /** The watcher's page. */
      page,
      /** The time of that page. */
      now: () => page.evaluate(() => performance.now()),
      /** Wishes for the picture of a person, and of nobody else. @param {Watched} watched */
      wish: ({ participantId }) => watcher.send({ type: 'layout', wants: [{ participantId, kind: 'camera', priority: 1 }] }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

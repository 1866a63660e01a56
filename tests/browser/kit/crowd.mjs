/**
 * A crowd: many people in one page, each with a connection and a camera of their own, to fill a meeting with real pictures.
 *
 * Load clients send noise that no browser can decode; here every picture says whose it is. Cameras are small and slow, so that
 * fifty encoders fit beside the page that is tested. The code of paint.mjs has four bits for a person: the rest of the
 * number stands in the upper bits of the counter, see `guestOf`.
 */
import { openBrowser } from './browser.mjs';
import { checkBits, codeBits } from './paint.mjs';

/** The number of the guest in a picture, and what moves in it. @param {{ person: number, counter: number } | null | undefined} picture */
export const guestOf = (picture) => (picture ? { guest: picture.person + 16 * (picture.counter >> 6), frame: picture.counter & 63 } : null);

/** As the crowd's people are called. @param {number} guest */
export const guestName = (guest) => `Guest ${String(guest).padStart(2, '0')}`;

/**
 * @param {{ url: string }} server
 * @param {string} joinWebUrl
 * @param {number} count At most 64.
 */
export async function openCrowd(server, joinWebUrl, count) {
  const browser = await openBrowser({});
  const { page } = browser;
  await page.goto(`${server.url}/healthz`);
  await page.evaluate(`(() => { ${checkBits.toString()} ${codeBits.toString()} (${inPage.toString()})(codeBits); })()`);
  const names = Array.from({ length: count }, (_, guest) => guestName(guest));
  await page.evaluate(([url, all]) => window.crowd.join(url, all), [joinWebUrl, names]);
  return {
    page,
    close: browser.close,
    /** Offers that were made and answers that came, over all; and messages with SDP that nobody asked for. */
    sdp: () => page.evaluate(() => ({ ...window.crowd.sdp })),
    connected: () => page.evaluate(() => window.crowd.connections.filter(({ connectionState }) => connectionState === 'connected').length),
  };
}

/* c8 ignore start: runs in the page */
function inPage(codeBits) {
  const [WIDTH, HEIGHT, COLUMNS, ROWS] = [320, 180, 16, 9];
  const FRAMES_PER_SECOND = 5;
  const TOGETHER = 4;
  const connections = [];
  const sdp = { offers: 0, answers: 0, unasked: 0 };
  const cameras = [];
  let frame = 0;

  const paint = ({ pen, guest }) => {
    pen.fillStyle = `hsl(${(guest * 67) % 360} 35% 45%)`;
    pen.fillRect(0, 0, WIDTH, HEIGHT);
    pen.fillStyle = '#eee';
    pen.font = 'bold 60px sans-serif';
    pen.textAlign = 'center';
    pen.fillText(String(guest), WIDTH / 2, 110);
    const bits = codeBits(guest % 16, ((guest >> 4) << 6) | (frame & 63));
    bits.forEach((bit, column) => {
      for (const [row, flip] of [[0, 0], [ROWS - 1, 1]]) {
        pen.fillStyle = bit ^ flip ? '#ebebeb' : '#101010';
        pen.fillRect((column * WIDTH) / COLUMNS, (row * HEIGHT) / ROWS, WIDTH / COLUMNS, HEIGHT / ROWS);
      }
    });
  };
  setInterval(() => {
    frame += 1;
    cameras.forEach(paint);
  }, 1_000 / FRAMES_PER_SECOND);

  const enter = async (joinWebUrl, displayName, guest) => {
    const response = await fetch('/v1/join', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ joinWebUrl, displayName }),
    });
    const { token } = await response.json();
    const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
    const camera = { pen: canvas.getContext('2d'), guest };
    paint(camera);
    cameras.push(camera);
    const [track] = canvas.captureStream(FRAMES_PER_SECOND).getVideoTracks();
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    connections.push(pc);
    pc.addTransceiver(track, { direction: 'sendonly', sendEncodings: [{ maxBitrate: 120_000 }] });
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/live`, 'plenum.v1');
    const send = (message) => socket.send(JSON.stringify(message));
    await new Promise((resolve, reject) => {
      socket.onopen = () => send({ type: 'hello', token, cursor: 0 });
      socket.onclose = ({ code, reason }) => reject(new Error(`${displayName}: closed with ${code} ${reason}`));
      socket.onmessage = async ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === 'ping') send({ type: 'pong' });
        if (message.type === 'error') reject(new Error(`${displayName}: ${message.code}`));
        if (message.type === 'welcome') {
          await pc.setLocalDescription();
          sdp.offers += 1;
          send({ type: 'offer', id: 1, sdp: pc.localDescription.sdp });
        } else if ('sdp' in message) {
          if (message.type !== 'answer' || message.id !== 1 || pc.remoteDescription) sdp.unasked += 1;
          sdp.answers += 1;
          await pc.setRemoteDescription({ type: 'answer', sdp: message.sdp });
          resolve();
        }
      };
    });
  };

  window.crowd = {
    connections,
    sdp,
    async join(joinWebUrl, names) {
      const waiting = names.map((name, guest) => [name, guest]);
      const door = async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) await enter(joinWebUrl, ...next);
      };
      await Promise.all(Array.from({ length: TOGETHER }, door));
    },
  };
}
/* c8 ignore stop */

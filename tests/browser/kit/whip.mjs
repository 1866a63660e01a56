/**
 * WHIP and WHEP from a page that knows only RTCPeerConnection and fetch, and nothing of Plenum.
 *
 * `window.pc` is the newest connection of the page, and `window.resource` what the server calls it; tests read statistics
 * and change parameters there.
 */

/**
 * @typedef {object} Sent what is published
 * @property {MediaStreamConstraints} [media] of the page's devices; without: microphone and camera
 * @property {string} [stream] instead: the name of a stream that the page has as a global
 * @property {RTCRtpEncodingParameters[]} [encodings] of the picture
 * @property {string} [codec] the only one that is offered for the picture
 * @property {boolean} [keep] the page's connection of before stays; otherwise it ends
 *
 * @typedef {{status: number, type: string | null, location: string | null, answer: string}} Answer
 */

/**
 * @param {import('playwright-core').Page} page
 * @param {string} origin where the server is reached
 */
export async function openWhip(page, origin) {
  await page.goto(`${origin}/healthz`);
  await page.evaluate(`(${inPage.toString()})()`);
  const call = (method, ...args) => page.evaluate(([name, rest]) => window.whip[name](...rest), [method, args]);
  return {
    page,
    /** @param {{whipUrl: string, token: string}} ticket @param {Sent} [sent] @returns {Promise<Answer>} */
    publish: ({ whipUrl, token }, sent = {}) => call('publish', whipUrl, token, sent),
    /** @param {{whepUrl: string, token: string}} ticket @param {string[]} [kinds] @returns {Promise<Answer>} */
    play: ({ whepUrl, token }, kinds = ['audio', 'video']) => call('play', whepUrl, token, kinds),
    /** Ends what was begun last. @returns {Promise<number>} the status of the answer */
    end: (token) => call('end', token),
  };
}

/* c8 ignore start: runs in the page */
function inPage() {
  /** Offers, posts, takes the answer. */
  async function exchange(pc, url, token) {
    window.pc = pc;
    await pc.setLocalDescription();
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' },
      body: pc.localDescription.sdp,
    });
    const answer = await response.text();
    const location = response.headers.get('location');
    if (response.status === 201) await pc.setRemoteDescription({ type: 'answer', sdp: answer });
    window.resource = location && new URL(location, url).href;
    return { status: response.status, type: response.headers.get('content-type'), location, answer };
  }

  window.whip = {
    async publish(url, token, { media = { audio: true, video: { width: 640, height: 360 } }, stream: name, encodings, codec, keep = false }) {
      if (!keep) window.pc?.close();
      const pc = new RTCPeerConnection();
      const stream = name ? window[name] : await navigator.mediaDevices.getUserMedia(media);
      for (const track of stream.getAudioTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
      for (const track of stream.getVideoTracks()) {
        const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings: encodings });
        const { codecs } = RTCRtpSender.getCapabilities('video');
        if (codec) transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => [codec, 'video/rtx'].includes(mimeType)));
      }
      return exchange(pc, url, token);
    },

    play(url, token, kinds) {
      const pc = new RTCPeerConnection();
      for (const kind of kinds) {
        const { receiver } = pc.addTransceiver(kind, { direction: 'recvonly' });
        const element = document.createElement(kind);
        element.muted = true;
        element.srcObject = new MediaStream([receiver.track]);
        document.body.append(element);
        element.play().catch(() => {});
      }
      return exchange(pc, url, token);
    },

    async end(token) {
      const response = await fetch(window.resource, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });
      return response.status;
    },
  };
}
/* c8 ignore stop */

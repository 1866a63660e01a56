/**
 * Reading a page from outside: which person is in a <video>, which tones are in the received sound, and whether SDP was seen.
 *
 * `installReaders` puts `window.__kit` into every page of a context before the page's own scripts run. It observes only:
 * RTCPeerConnection and WebSocket stay what they are, calls are counted and sockets remembered.
 */
import { checkBits, readCode, LOOP } from './paint.mjs';
import { TONES } from './media.mjs';

/** What is to run in every page, as text. */
export const readers = () => `(() => {
  ${checkBits.toString()}
  ${readCode.toString()}
  (${inPage.toString()})(${JSON.stringify(TONES)}, ${LOOP}, readCode);
})();`;

/** @param {import('playwright-core').BrowserContext} context */
export async function installReaders(context) {
  await context.addInitScript({ content: readers() });
}

/* c8 ignore start: runs in the page */
function inPage(tones, loop, readCode) {
  const canvas = document.createElement('canvas');
  canvas.width = 320;
  canvas.height = 180;
  const pen = canvas.getContext('2d', { willReadFrequently: true });

  /** The code in the picture that a <video> shows right now. */
  function picture(video) {
    if (!video.videoWidth) return null;
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
    return readCode((x, y) => pixels[(y * canvas.width + x) * 4 + 1], canvas.width, canvas.height);
  }

  /** All tiles of the page that belong to a participant and have a video. */
  function tiles() {
    return [...document.querySelectorAll('[data-participant-id]')].flatMap((tile) =>
      [...tile.querySelectorAll('video')].map((video) => ({
        participant: tile.dataset.participantId,
        name: tile.dataset.name ?? '',
        live: tile.dataset.live !== 'false',
        mid: video.dataset.mid ?? '',
        picture: picture(video),
      })),
    );
  }

  const ears = new Map();
  let audio = null;
  function earOf(track) {
    let ear = ears.get(track.id);
    if (!ear) {
      audio ??= new AudioContext({ sampleRate: 48000 });
      const stream = new MediaStream([track]);
      // Chromium moves remote sound only while an element plays it.
      const pump = new Audio();
      pump.muted = true;
      pump.srcObject = stream;
      pump.play().catch(() => {});
      const analyser = audio.createAnalyser();
      analyser.fftSize = 4096;
      analyser.smoothingTimeConstant = 0;
      audio.createMediaStreamSource(stream).connect(analyser);
      ear = { analyser, pump, bins: new Float32Array(analyser.frequencyBinCount) };
      ears.set(track.id, ear);
    }
    return ear;
  }

  /** The fake microphones' tones that stand out in a track: their persons. */
  function tonesIn(track) {
    const { analyser, bins } = earOf(track);
    analyser.getFloatFrequencyData(bins);
    const hz = audio.sampleRate / analyser.fftSize;
    const peak = (tone) => Math.max(...bins.subarray(Math.round(tone / hz) - 1, Math.round(tone / hz) + 2));
    const around = [...bins.subarray(Math.round(200 / hz), Math.round(2000 / hz))].sort((a, b) => a - b);
    const floor = around[around.length >> 1];
    const loud = tones.map((tone, person) => ({ person, level: peak(tone) })).sort((a, b) => b.level - a.level);
    // A click spreads over all bins: only what stands out of the rest, and is not far below the loudest, is a voice.
    return loud.filter(({ level }) => level > -55 && level > floor + 20 && level > loud[0].level - 25).map(({ person }) => person);
  }

  const receivers = (pc, kind) => (pc ? pc.getReceivers().filter((receiver) => receiver.track.kind === kind) : []);

  const sdp = { local: 0, remote: 0 };
  const connections = [];
  const count = (name, key) => {
    const original = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = function (...args) {
      sdp[key] += 1;
      return original.apply(this, args);
    };
  };
  count('setLocalDescription', 'local');
  count('setRemoteDescription', 'remote');
  const OwnConnection = window.RTCPeerConnection;
  window.RTCPeerConnection = new Proxy(OwnConnection, {
    construct(target, args) {
      const pc = new target(...args);
      connections.push(pc);
      return pc;
    },
  });

  const sockets = [];
  window.WebSocket = new Proxy(window.WebSocket, {
    construct(target, args) {
      const socket = new target(...args);
      sockets.push(socket);
      return socket;
    },
  });

  window.__kit = {
    loop,
    tiles,
    picture,
    sdp,
    sockets,
    connections,
    tonesIn,
    /** Persons heard right now over all sound that a connection receives. */
    heard(pc = window.plenum?.pc) {
      return [...new Set(receivers(pc, 'audio').flatMap((receiver) => tonesIn(receiver.track)))].sort();
    },
    receivers,
    /** Sums of the inbound figures of one kind. */
    async inbound(kind, pc = window.plenum?.pc) {
      const sums = {};
      for (const entry of (await pc.getStats()).values()) {
        if (entry.type !== 'inbound-rtp' || entry.kind !== kind) continue;
        for (const [key, value] of Object.entries(entry)) if (typeof value === 'number') sums[key] = (sums[key] ?? 0) + value;
      }
      return sums;
    },
    async outbound(kind, pc = window.plenum?.pc) {
      let packets = 0;
      for (const entry of (await pc.getStats()).values()) if (entry.type === 'outbound-rtp' && entry.kind === kind) packets += entry.packetsSent;
      return packets;
    },
  };
}
/* c8 ignore stop */

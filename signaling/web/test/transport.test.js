/** Who begins the handshake of a path: the server, and after a path that never stood we, in turns. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Transport } from '../js/media/transport.js';

/** As much of a peer connection as an offer needs. */
class PeerConnection {
  connectionState = 'new';
  /** @type {(() => void) | null} */ onconnectionstatechange = null;

  /** @param {string} kind */
  addTransceiver(kind) {
    return { kind, sender: {}, receiver: {}, mid: null };
  }

  async createOffer() {
    return { type: 'offer', sdp: 'm=audio\r\na=setup:actpass\r\nm=video\r\na=setup:actpass\r\n' };
  }

  async setLocalDescription() {}

  stands() {
    this.connectionState = 'connected';
    this.onconnectionstatechange?.();
  }
}

const { RTCPeerConnection, RTCRtpReceiver } = globalThis;
beforeEach(() => Object.assign(globalThis, { RTCPeerConnection: PeerConnection, RTCRtpReceiver: { getCapabilities: () => null } }));
afterEach(() => Object.assign(globalThis, { RTCPeerConnection, RTCRtpReceiver }));

/** @param {Transport | null} previous */
const after = (previous) => new Transport(2, () => {}, previous);

/** @param {Transport} transport */
async function roles(transport) {
  const sdp = await transport.offer([]);
  return [...sdp.matchAll(/a=setup:(\w+)/g)].map(([, role]) => role);
}

test('the first path, and each after one that stood, lets the server begin', async () => {
  const first = after(null);
  assert.deepEqual(await roles(first), ['passive', 'passive']);
  /** @type {any} */ (first.pc).stands();
  assert.deepEqual(await roles(after(first)), ['passive', 'passive']);
});

test('after a path that never stood the other side begins', async () => {
  const first = after(null);
  const second = after(first);
  assert.deepEqual(await roles(second), ['actpass', 'actpass']);
  assert.deepEqual(await roles(after(second)), ['passive', 'passive']);
});

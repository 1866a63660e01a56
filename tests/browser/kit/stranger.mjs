/**
 * A stranger's client: the live protocol written from its page alone, with none of Plenum's own web code.
 *
 * It runs in a page of the server's origin (`/healthz`), so that it has Chromium's WebRTC, devices and fetch. Tests drive it
 * through `page.evaluate` and the handle below. It does what a well-behaved client would not: keep sending while muted,
 * come back after removal, offer one slot of each kind.
 */
import { deviations } from './golden.mjs';

/**
 * @param {import('playwright-core').Page} page
 * @param {string} origin where the server is reached
 */
export async function openStranger(page, origin) {
  await page.goto(`${origin}/healthz`);
  await page.evaluate(`(${inPage.toString()})()`);
  const call = (method, ...args) => page.evaluate(([name, rest]) => window.stranger[name](...rest), [method, args]);
  return {
    page,
    /** POST /v1/join. @returns {Promise<{status: number, body: any}>} */
    join: (joinWebUrl, displayName) => call('join', joinWebUrl, displayName),
    /** Connects and says hello. @returns {Promise<any>} the `welcome`, or `lobby` for whoever has to wait */
    connect: (token, cursor = 0) => call('connect', token, cursor),
    /** Sends a request and waits for its ack, answer or error (which throws). */
    request: (message) => call('request', message),
    send: (message) => call('send', message),
    /** Offers once. See `Media` below. */
    offer: (media) => call('offer', media),
    state: () => page.evaluate(() => window.stranger.snapshot()),
    /** What the server sent that is not in the protocol. */
    deviations: async () => {
      const messages = await page.evaluate(() => window.stranger.messages);
      return [...new Set(messages.flatMap((message) => deviations('server', message)))];
    },
  };
}

/**
 * @typedef {object} Media
 * @property {'device' | 'tone' | 'painted' | 'none'} [audio] what to send; `tone` is a generated one, see `speak`; `painted`
 *   ones are those of painted.mjs, which the page must have, and are at `window.stranger.painted`
 * @property {'device' | 'painted' | 'none'} [video]
 * @property {number} [person] whose painted ones
 * @property {string} [codec] the only one that the picture is offered in, as `video/H264`
 * @property {number} [tone] Hz
 * @property {number} [audioSlots]
 * @property {number} [videoSlots]
 * @property {number} [mediaPort] send media to this UDP port (of the impairment proxy) instead of the announced one
 */

/* c8 ignore start: runs in the page */
function inPage() {
  const REQUEST_MS = 10_000;

  class Stranger {
    messages = [];
    events = [];
    slots = {};
    roster = {};
    publications = {};
    speaker = null;
    recording = null;
    closed = null;
    pc = null;
    local = {};
    #socket = null;
    #nextId = 1;
    #pending = new Map();

    async join(joinWebUrl, displayName) {
      const response = await fetch('/v1/join', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ joinWebUrl, displayName }),
      });
      return { status: response.status, body: await response.json().catch(() => null) };
    }

    connect(token, cursor) {
      return new Promise((resolve, reject) => {
        const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/live`, 'plenum.v1');
        this.#socket = socket;
        this.closed = null;
        socket.onopen = () => this.send({ type: 'hello', token, cursor });
        socket.onclose = ({ code, reason }) => {
          if (socket !== this.#socket) return;
          this.closed = { code, reason };
          const gone = new Error(`the connection closed with ${code} ${reason}`);
          for (const { reject: refuse } of this.#pending.values()) refuse(gone);
          this.#pending.clear();
          reject(gone);
        };
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          this.messages.push(message);
          this.#take(message);
          if (message.type === 'welcome' || message.type === 'lobby') resolve(message);
        };
      });
    }

    send(message) {
      this.#socket.send(JSON.stringify(message));
    }

    request(message) {
      const id = this.#nextId++;
      return new Promise((resolve, reject) => {
        const limit = setTimeout(() => reject(new Error(`no answer to ${message.type}`)), REQUEST_MS);
        this.#pending.set(id, {
          resolve: (answer) => (clearTimeout(limit), resolve(answer)),
          reject: (error) => (clearTimeout(limit), reject(error)),
        });
        this.send({ ...message, id });
      });
    }

    #take(message) {
      switch (message.type) {
        case 'welcome':
          this.self = message.self;
          this.events.push(...message.events);
          this.recording = message.recording;
          for (const person of message.roster) this.roster[person.id] = person;
          for (const publication of message.publications) this.publications[publication.id] = publication;
          for (const slot of message.slots) this.slots[slot.mid] = slot;
          break;
        case 'event':
          this.events.push(message.event);
          break;
        case 'roster':
          for (const person of [...message.joined, ...message.changed]) this.roster[person.id] = person;
          for (const id of message.left) delete this.roster[id];
          break;
        case 'publications':
          for (const publication of message.added) this.publications[publication.id] = publication;
          for (const id of message.removed) delete this.publications[id];
          break;
        case 'slots':
          for (const slot of message.slots) this.slots[slot.mid] = slot;
          break;
        case 'speaker':
          this.speaker = message.participantId;
          break;
        case 'recording':
          this.recording = { state: message.state, recordingId: message.recordingId };
          break;
        case 'ping':
          this.send({ type: 'pong' });
          break;
        case 'ack':
        case 'answer':
        case 'error': {
          const waiting = this.#pending.get(message.id);
          this.#pending.delete(message.id);
          if (message.type === 'error') waiting?.reject(new Error(`${message.code}: ${message.message}`));
          else waiting?.resolve(message);
          break;
        }
      }
    }

    async offer({ audio = 'none', video = 'none', tone = 400, person = 0, codec = '', audioSlots = 0, videoSlots = 0, mediaPort = 0 }) {
      const pc = new RTCPeerConnection();
      this.pc = pc;
      const devices = { audio: audio === 'device', video: video === 'device' && { width: 640, height: 360 } };
      const stream = devices.audio || devices.video ? await navigator.mediaDevices.getUserMedia(devices) : new MediaStream();
      if (audio === 'tone') stream.addTrack(this.#toneTrack(tone));
      if (audio === 'painted' || video === 'painted') {
        this.painted = window.__painted(person);
        for (const track of this.painted.stream.getTracks()) stream.addTrack(track);
      }
      for (const kind of ['audio', 'video']) {
        const [track] = kind === 'audio' ? stream.getAudioTracks() : stream.getVideoTracks();
        if (track) {
          this.local[kind] = track;
          const transceiver = pc.addTransceiver(track, { direction: 'sendonly' });
          const only = RTCRtpSender.getCapabilities(kind).codecs.filter(({ mimeType }) => [codec, 'video/rtx'].includes(mimeType));
          if (codec && kind === 'video') transceiver.setCodecPreferences(only);
        }
      }
      for (let n = 0; n < audioSlots; n += 1) pc.addTransceiver('audio', { direction: 'recvonly' });
      for (let n = 0; n < videoSlots; n += 1) pc.addTransceiver('video', { direction: 'recvonly' });
      await pc.setLocalDescription();
      const answer = await this.request({ type: 'offer', sdp: pc.localDescription.sdp });
      const sdp = mediaPort ? answer.sdp.replace(/^(a=candidate:\S+ \d+ udp \d+) \S+ \d+/gim, `$1 127.0.0.1 ${mediaPort}`) : answer.sdp;
      await pc.setRemoteDescription({ type: 'answer', sdp });
      for (const transceiver of pc.getTransceivers()) if (transceiver.direction === 'recvonly') this.#show(transceiver);
      return { slots: answer.slots, publications: answer.publications };
    }

    /** Whose picture each slot showed, frame by frame, and what the packets' CSRC said at that moment. */
    frames = [];

    #show({ mid, receiver }) {
      const element = document.createElement(receiver.track.kind);
      element.muted = receiver.track.kind === 'video';
      element.dataset.mid = mid;
      element.srcObject = new MediaStream([receiver.track]);
      document.body.append(element);
      element.play().catch(() => {});
      if (receiver.track.kind !== 'video') return;
      const onFrame = () => {
        const picture = window.__kit.picture(element);
        this.frames.push({ mid, at: performance.now(), person: picture?.person ?? null, counter: picture?.counter ?? null, csrc: this.#csrc(receiver) });
        if (this.frames.length > 5000) this.frames.splice(0, 1000);
        element.requestVideoFrameCallback(onFrame);
      };
      element.requestVideoFrameCallback(onFrame);
    }

    #csrc(receiver) {
      const sources = receiver.getContributingSources();
      return sources.length ? sources.reduce((newest, one) => (one.timestamp > newest.timestamp ? one : newest)).source : null;
    }

    audioCsrc() {
      const receiver = this.pc.getReceivers().find(({ track }) => track.kind === 'audio');
      return this.#csrc(receiver);
    }

    #context = null;
    #gain = null;

    /** A tone that wobbles as speech does, silent until `speak`. */
    #toneTrack(tone) {
      this.#context = new AudioContext({ sampleRate: 48000 });
      const oscillator = new OscillatorNode(this.#context, { frequency: tone });
      this.#gain = new GainNode(this.#context, { gain: 0 });
      const out = this.#context.createMediaStreamDestination();
      oscillator.connect(this.#gain).connect(out);
      oscillator.start();
      return out.stream.getAudioTracks()[0];
    }

    speak(loud) {
      this.#gain.gain.setTargetAtTime(loud ? 0.3 : 0, this.#context.currentTime, 0.005);
    }

    async connected() {
      return this.pc?.connectionState === 'connected';
    }

    snapshot() {
      const { events, slots, roster, publications, speaker, recording, closed, self } = this;
      return { events, slots, roster, publications, speaker, recording, closed, self, media: this.pc?.connectionState ?? 'none' };
    }
  }

  window.stranger = new Stranger();
}
/* c8 ignore stop */

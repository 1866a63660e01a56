/**
 * A phone line without phones: what a server with numbers and a gateway would say is added to what the real one says.
 *
 * Why: how the page shows a call can be tested in every state of it, in any order, without a telephone at the other end.
 * Everything else goes through to the real server and back.
 */
import { until } from './wait.mjs';

const AUDIO = {
  conferenceId: '123 456 789',
  phoneNumbers: [
    { number: '+49 30 1234567', name: 'Berlin' },
    { number: '+44 20 7946 0000', name: 'London' },
    { number: '+1 555 0100', name: '' },
  ],
};
const PIN = '48151';

/** A phone in the meeting, as the roster has it. @param {string} id @param {string} displayName */
export const phone = (id, displayName, more = {}) => ({
  id,
  displayName,
  kind: 'phone',
  role: 'attendee',
  verified: false,
  microphoneMuted: false,
  cameraMuted: true,
  hasMicrophone: true,
  hasCamera: false,
  spotlit: false,
  hand: null,
  connected: true,
  network: null,
  ...more,
});

/**
 * Gives a browser a phone line; pages that it opens from now on have it.
 *
 * @param {{ context: import('playwright-core').BrowserContext }} browser
 * @param {{ mayDial?: boolean }} [options] whether the person may call phones
 */
export async function layPhoneLine({ context }, { mayDial = true } = {}) {
  const line = new PhoneLine(mayDial);
  await context.routeWebSocket(/\/v1\/live$/, (page) => line.live(page));
  await context.route(/\/v1\/onlineMeetings(\/[^/]+|\/[^/]+\/resetJoinLink)?(\?.*)?$/, (route) => line.meetings(route));
  await context.route(/\/phoneCalls(\/[^/]+)?$/, (route) => line.order(route));
  return line;
}

class PhoneLine {
  #mayDial;
  #page = null;
  /** Roster messages of ours come between those of the server, which are counted on. */
  #rosterSeq = 0;
  #added = 0;
  /** Calls and hang-ups that were asked for: `{ method, id, body }`. */
  asked = [];
  /** What the next calls are answered with. */
  answer = { status: 202 };

  constructor(mayDial) {
    this.#mayDial = mayDial;
  }

  /** @param {import('playwright-core').WebSocketRoute} page */
  live(page) {
    const server = page.connectToServer();
    server.onMessage((frame) => {
      const message = JSON.parse(String(frame));
      if (message.type === 'welcome') {
        this.#page = page;
        this.#added = 0;
        message.phoneCalls = [];
      }
      if (this.#mayDial && (message.type === 'welcome' || message.type === 'rights')) message.may = [...new Set([...message.may, 'dialOut'])];
      if (message.rosterSeq !== undefined) {
        message.rosterSeq += this.#added;
        this.#rosterSeq = message.rosterSeq;
      }
      page.send(JSON.stringify(message));
    });
  }

  /** @param {import('playwright-core').Route} route */
  async meetings(route) {
    const response = await route.fetch();
    const body = await response.json().catch(() => null);
    for (const meeting of body?.value ?? [body]) {
      // Only its organisers are given the passcode, and the PIN.
      if (meeting?.joinWebUrl) meeting.audioConferencing = { ...AUDIO, ...(meeting.passcode && { organizerPin: PIN }) };
    }
    await route.fulfill({ response, json: body });
  }

  /** @param {import('playwright-core').Route} route */
  async order(route) {
    const request = route.request();
    const id = /phoneCalls\/(.+)$/.exec(new URL(request.url()).pathname)?.[1];
    this.asked.push({ method: request.method(), id, body: request.postDataJSON(), token: request.headers().authorization });
    if (request.method() === 'DELETE') await route.fulfill({ status: 204 });
    else await route.fulfill({ status: this.answer.status, json: this.answer.code ? { error: { code: this.answer.code, message: '', requestId: '' } } : {} });
  }

  /** Refuses the next calls. @param {number} status @param {string} code */
  refuse(status, code) {
    this.answer = { status, code };
  }

  /** Says something to the page, as the server would. @param {object} message */
  async say(message) {
    await until('a page that is in the meeting', () => this.#page);
    this.#page.send(JSON.stringify(message));
  }

  /** The whole list of calls that go on. @param {...{ id: string, name: string, status: string, endReason?: string }} calls */
  calls(...calls) {
    return this.say({ type: 'phoneCalls', calls });
  }

  /** @param {...object} joined see {@link phone} */
  async joined(...joined) {
    this.#added += 1;
    this.#rosterSeq += 1;
    await this.say({ type: 'roster', rosterSeq: this.#rosterSeq, joined, changed: [], left: [] });
  }
}

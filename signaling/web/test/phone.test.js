/** Phones: what invitations say, and whose credentials are used to read them. */

import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { Phones } from '../js/app/phones.js';
import { ApiError } from '../js/protocol/http.js';
import { INITIAL, reduce } from '../js/state/meeting.js';
import { Store } from '../js/state/store.js';
import { appointments } from '../js/text/en-appointments.js';
import { telHref } from '../js/text/format.js';
import { after, says, welcome } from './kit/state.js';

afterEach(() => mock.reset());

const AUDIO = {
  conferenceId: '123 456 789',
  phoneNumbers: [{ number: '+49 30 1234567', name: 'Berlin' }, { number: '+44 20 7946 0000', name: '' }],
  organizerPin: '48151',
};
const invitation = { subject: 'Review', when: 'Tue', joinWebUrl: 'https://plenum.test/join/s', joinMeetingId: '987 654 321', passcode: 'abc' };

test('a copied invitation has each number with the conference id, and never the PIN', () => {
  const text = appointments.text({ ...invitation, audioConferencing: AUDIO });
  assert.ok(text.includes('Or call +49 30 1234567 (Berlin), conference id 123 456 789#'), text);
  assert.ok(text.endsWith('Or call +44 20 7946 0000, conference id 123 456 789#'), text);
  assert.ok(!text.includes('48151'), text);
});

test('without a phone line an invitation is what it was', () => {
  assert.equal(appointments.text({ ...invitation, audioConferencing: undefined }), appointments.text(invitation));
  assert.doesNotMatch(appointments.text(invitation), /call/i);
});

test('a link to call dials the number and enters the conference id with its hash sign', () => {
  const href = telHref('+49 (30) 123-45/67', '123 456 789');
  assert.equal(href, 'tel:+49301234567,,123456789%23');
  assert.equal(new URL(href).hash, '', 'nothing of it is cut off');
});

/** The server, as a list of what it was asked. @param {(asked: string) => { status: number, body?: object }} answer */
function server(answer) {
  const asked = [];
  mock.method(globalThis, 'fetch', async (path, { method, headers, body }) => {
    const line = `${method} ${path} by ${headers.authorization ?? 'session'}`;
    asked.push(body === undefined ? line : `${line}: ${body}`);
    const { status, body: said = {} } = answer(line);
    return new Response(status === 204 ? null : JSON.stringify(said), { status });
  });
  return asked;
}
const phonesOf = (role) => {
  const store = new Store(reduce, after(INITIAL, says(welcome({ role }))));
  return { store, phones: new Phones(store, Promise.resolve({ token: 'tok' })) };
};

test('an organiser reads the invitation by their session, everybody else by their place in the meeting', async () => {
  const asked = server(() => ({ status: 200, body: { id: 'mtg_1' } }));
  await phonesOf('organizer').phones.invitation();
  await phonesOf('presenter').phones.invitation();
  assert.deepEqual(asked, ['GET /v1/onlineMeetings/mtg_1 by session', 'GET /v1/onlineMeetings/mtg_1 by Bearer tok']);
});

test('a co-organiser for this call alone has the invitation of a participant', async () => {
  const asked = server((line) => (line.endsWith('session') ? { status: 401 } : { status: 200, body: { id: 'mtg_1' } }));
  assert.equal((await phonesOf('coorganizer').phones.invitation()).id, 'mtg_1');
  assert.equal(asked.length, 2);
  server(() => ({ status: 500 }));
  await assert.rejects(phonesOf('organizer').phones.invitation(), ApiError, 'what is broken is not tried by another door');
});

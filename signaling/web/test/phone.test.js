/** Phones: what invitations say, how calls out of a meeting are followed, and whose credentials are used for what. */

import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { Phones } from '../js/app/phones.js';
import { ApiError } from '../js/protocol/http.js';
import { parseServerMessage } from '../js/protocol/messages.js';
import { INITIAL, reduce } from '../js/state/meeting.js';
import { forgetCall, mergeCalls } from '../js/state/phone-calls.js';
import { Store } from '../js/state/store.js';
import { appointments } from '../js/text/en-appointments.js';
import { phones } from '../js/text/en-phone.js';
import { telHref } from '../js/text/format.js';
import { explainCall } from '../js/ui/phones.js';
import { after, joined, says, welcome } from './kit/state.js';

afterEach(() => mock.reset());

const call = (id, status = 'dialling', more = {}) => ({ id, name: id.toUpperCase(), status, ...more });
const told = (...calls) => says({ type: 'phoneCalls', calls });
const brief = (calls) => calls.map(({ id, status }) => `${id} ${status}`);

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

test('each refusal has words of its own that say what to do, and others are told as elsewhere', () => {
  const codes = ['invalid_phone_number', 'emergency_number', 'number_not_allowed', 'forbidden', 'not_live', 'too_many_calls', 'called_too_often', 'no_phone_line', 'already_called'];
  const words = codes.map((code) => explainCall(new ApiError(400, code, 'by the server', '')));
  assert.equal(new Set(words).size, codes.length);
  for (const text of words) assert.match(text, /^[A-Z].*\. .*\.$/, 'at least two sentences');
  assert.match(explainCall(new ApiError(0, 'unreachable', '', '')), /does not answer/);
  assert.equal(explainCall(new ApiError(400, 'bad_request', 'displayName is too long.', '')), 'displayName is too long.');
  assert.equal(phones.problem('toString'), undefined);
  assert.match(explainCall(new TypeError('x')), /went wrong/);
});

test('each status and each end has words, also one that is not known yet', () => {
  const ends = 'hungUp left removed notLetIn meetingEnded alone full busy declined noAnswer unreachable notConfirmed cancelled silent lost failed'.split(' ');
  for (const endReason of ends) assert.notEqual(phones.status(call('a', 'ended', { endReason })), phones.status(call('a', 'ended')), endReason);
  for (const endReason of [undefined, null, 'later', 'toString']) assert.equal(phones.status(call('a', 'ended', { endReason })), 'call ended');
  assert.deepEqual(['dialling', 'ringing', 'answered'].map((status) => phones.status(call('a', status))), ['Dialling…', 'Ringing…', 'Asked to press 1']);
});

test('a list takes the place of the one before, and each call keeps its own', () => {
  const first = mergeCalls([], [call('a'), call('b')]);
  const second = mergeCalls(first, [call('c'), call('b', 'ringing'), call('a', 'answered')]);
  assert.deepEqual(brief(second), ['a answered', 'b ringing', 'c dialling']);
});

test('who is in is gone from the list without a word; an end stays until it is seen', () => {
  const both = [call('a', 'answered'), call('b', 'ringing')];
  const over = mergeCalls(both, [call('b', 'ended', { endReason: 'busy' })]);
  assert.deepEqual(brief(over), ['b ended'], 'a is joined');
  const later = mergeCalls(over, [call('c')]);
  assert.deepEqual(brief(later), ['b ended', 'c dialling'], 'the server said it once');
  assert.deepEqual(brief(forgetCall(later, 'b')), ['c dialling']);
  assert.deepEqual(brief(forgetCall(later, 'c')), ['b ended', 'c dialling'], 'a call that goes on is not forgotten');
  assert.deepEqual(mergeCalls([], [call('d', 'joined')]), []);
});

test('a call that begins and one that comes to nothing are said once, with its reason', () => {
  const dialled = after(joined(), told(call('grandma')));
  assert.equal(dialled.announcement.content.code, 'phoneCalled');
  const ringing = after(dialled, told(call('grandma', 'ringing')));
  assert.equal(ringing.announcement, dialled.announcement, 'each step would be too much');
  const busy = after(ringing, told(call('grandma', 'ended', { endReason: 'busy' })));
  const { code, call: ended } = busy.announcement.content;
  assert.equal(code, 'phoneEnded');
  assert.equal(phones.ended(ended.name, phones.status(ended)), 'GRANDMA: busy');
  const after_ = after(busy, told());
  assert.equal(after_.announcement, busy.announcement);
  assert.deepEqual(brief(after(after_, { type: 'phoneEndSeen', id: 'grandma' }).phoneCalls), []);
});

test('a welcome brings the calls that go on, says none of them, and an older server has none', () => {
  const state = joined({ phoneCalls: [call('a', 'ringing')] });
  assert.deepEqual(brief(state.phoneCalls), ['a ringing']);
  assert.equal(state.announcement, null);
  assert.deepEqual(after(state, says(welcome())).phoneCalls, []);
});

test('the messages about calls are checked at the door', () => {
  const good = { type: 'phoneCalls', calls: [call('a'), call('b', 'ended', { endReason: 'noAnswer' })] };
  assert.deepEqual(parseServerMessage(good), good);
  assert.ok(parseServerMessage(welcome({ phoneCalls: [call('a', 'answered')] })));
  assert.equal(parseServerMessage(welcome({ phoneCalls: undefined })), null, 'always there');
  for (const field of ['id', 'name', 'status']) {
    const { [field]: _, ...rest } = call('a');
    assert.equal(parseServerMessage({ type: 'phoneCalls', calls: [rest] }), null, `without ${field}`);
    assert.equal(parseServerMessage(welcome({ phoneCalls: [rest] })), null, `welcome without ${field}`);
  }
  for (const calls of [undefined, null, {}, [null], [call('a', 'sung')], [call('a', 'ended', { endReason: 7 })]]) {
    assert.equal(parseServerMessage({ type: 'phoneCalls', calls }), null, JSON.stringify(calls));
  }
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

test('a call is asked for and hung up as the participant; one that is gone counts as hung up', async () => {
  const asked = server((line) => ({ status: line.startsWith('POST') ? 202 : 404 }));
  const { phones: line } = phonesOf('presenter');
  await line.dial('+49 30 1', 'Grandma');
  await line.dial('+49 30 2', '');
  await line.hangUp('call_1');
  assert.deepEqual(asked, [
    'POST /v1/onlineMeetings/mtg_1/phoneCalls by Bearer tok: {"phoneNumber":"+49 30 1","displayName":"Grandma"}',
    'POST /v1/onlineMeetings/mtg_1/phoneCalls by Bearer tok: {"phoneNumber":"+49 30 2"}',
    'DELETE /v1/onlineMeetings/mtg_1/phoneCalls/call_1 by Bearer tok',
  ]);
  server(() => ({ status: 403, body: { error: { code: 'forbidden' } } }));
  await assert.rejects(line.hangUp('call_1'), { code: 'forbidden' });
});

test('who called its organiser is asked for by them alone, by their session', async () => {
  const asked = server(() => ({ status: 200, body: { callerNumber: '+49305678' } }));
  const call = { meetingId: 'mtg_1', callId: 'call_1' };
  assert.equal(await phonesOf('organizer').phones.callerNumber(call), '+49305678');
  assert.equal(await phonesOf('coorganizer').phones.callerNumber(call), null);
  assert.deepEqual(asked, ['GET /v1/onlineMeetings/mtg_1/phoneCalls/call_1 by session']);
});

test('an end is shown for ten seconds', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const { store, phones: line } = phonesOf('presenter');
  const message = { type: 'phoneCalls', calls: [call('a', 'ringing'), call('b', 'ended', { endReason: 'busy' })] };
  store.dispatch(says(message));
  line.told(message.calls);
  mock.timers.tick(9_999);
  assert.deepEqual(brief(store.state.phoneCalls), ['a ringing', 'b ended']);
  mock.timers.tick(1);
  assert.deepEqual(brief(store.state.phoneCalls), ['a ringing']);
});

/**
 * A provider as there are many, which Kamailio plays: we register there with a password, by UDP, TCP and TLS, with nothing of ours that it
 * could connect to; calls come and go by what we opened, with its proxy on the path; and it goes down, and comes back knowing nothing.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startPhone } from './kit/baresip.mjs';
import { TONES } from './kit/media.mjs';
import { createMeeting, hears, join, openOrganiser, press } from './kit/meeting.mjs';
import { counted } from './kit/metrics.mjs';
import { freePort } from './kit/ports.mjs';
import { startProvider } from './kit/provider.mjs';
import { share } from './kit/sound.mjs';
import { dialInOf, startPhoneServer } from './kit/trunk.mjs';
import { report, until } from './kit/wait.mjs';

/** Persons whose voices are these tones. */
const [ADA, PHONE] = [0, 2];
const TRANSPORTS = ['udp', 'tcp', 'tls'];
const NUMBER = '+4940555199';
const MASKED = '+49••••••99';
/** Our own questions to a trunk are five seconds apart; a trunk that was gone is asked again to register within seconds. */
const BACK = { timeout: 40_000 };

let provider;
let server;
let ada;
let phone;
let own;

before(async () => {
  const at = await freePort();
  provider = await startProvider({ port: await freePort(), phone: at, number: NUMBER });
  own = provider.number('udp', '99');
  server = await startPhoneServer({
    trunks: TRANSPORTS.map((transport, n) => ({ ...provider.trunk(transport), rank: n })),
    phone: { dial_out_prefixes: '+49', numbers__1__number: own, numbers__1__user: 'Organiser' },
  });
  server.canaries.add(NUMBER);
  [ada, phone] = await Promise.all([openOrganiser(server, { person: ADA, words: true }), startPhone({ number: NUMBER, port: at, tone: TONES[PHONE] })]);
  await until('a registration by each way', async () => (await registered()) === 3);
}, { timeout: 60_000 });

after(async () => {
  phone?.end();
  await ada?.close();
  await server?.stop();
  provider?.end();
}, { timeout: 30_000 });

const registered = () => counted(server, 'sip_trunk_registered');
const phones = () => ada.page.evaluate(() => window.plenum.state().participants.filter(({ kind }) => kind === 'phone'));
const alone = () => until('no phone in the meeting', async () => (await phones()).length === 0);
const bothWays = (call) => Promise.all([hears(ada, PHONE), until('Ada at the phone', async () => share(await call.next(0.5), TONES[ADA]) > 0.5)]);

/** Ada alone in a new meeting: whom she removed would have to be let in to the same. */
async function openMeeting() {
  const meeting = await createMeeting(ada, 'Provider', { lobbyBypassSettings: { scope: 'organization', isDialInBypassEnabled: true } });
  await join(ada, meeting.joinWebUrl, 'Ada');
  await press(ada, 'People');
  return dialInOf(ada, meeting);
}

async function dialIn(transport, { conferenceId }) {
  const call = phone.dial(provider.address(provider.number(transport)));
  await call.answered();
  await call.hears(['conference-id']);
  await phone.press(`${conferenceId}#`);
  await bothWays(call);
  return call;
}

async function callFromPage(number) {
  const since = phone.events.length;
  await press(ada, 'Call a phone');
  await ada.page.getByRole('textbox', { name: 'Phone number' }).fill(number);
  await press(ada, 'Call');
  const call = await phone.rings(since);
  phone.accept();
  await call.answered();
  await call.hears(['invited']);
  await phone.press('1');
  await bothWays(call);
  return call;
}

for (const [n, transport] of TRANSPORTS.entries()) {
  test(`by ${transport} a call comes in and is ended here, and one goes out and is ended there`, { timeout: 90_000 }, async () => {
    const call = await dialIn(transport, await openMeeting());
    await press(ada, `Remove ${MASKED}`);
    await press(ada, 'Remove');
    await call.ended();
    await alone();

    const since = provider.position;
    await callFromPage(`+49 40 ${n + 1}55 51 99`);
    phone.hangUp();
    await alone();
    const asked = provider.notes(since).filter(({ what }) => what === 'INVITE').map((note) => note.transport);
    assert.deepEqual(asked, TRANSPORTS.slice(0, n + 1), 'one line after the other, until one takes it');
  });
}

test('a call to somebody’s own number rings there, though our Contact is all that the request names', { timeout: 60_000 }, async () => {
  const call = phone.dial(provider.address(own));
  await ada.page.getByText(`${NUMBER} is calling`).waitFor();
  phone.hangUp();
  await call.ended();
  await ada.page.getByText(`${NUMBER} is calling`).waitFor({ state: 'detached' });
});

test('a provider that went down has us again when it is back, and calls come in', { timeout: 120_000 }, async (t) => {
  await provider.stop();
  await until('nobody to be there', async () => (await counted(server, 'sip_trunk_healthy')) === 0, BACK);
  const [since, back] = [provider.position, performance.now()];
  await provider.start();
  await until('a registration by each way', () => {
    const lines = new Set(provider.notes(since).map(({ transport }) => transport));
    if (lines.size < TRANSPORTS.length) throw new Error([...lines].join());
    return true;
  }, BACK);
  report(t, 'registered anew after', performance.now() - back);
  const room = await openMeeting();
  for (const transport of TRANSPORTS) {
    await dialIn(transport, room);
    phone.hangUp();
    await alone();
  }
});

test('connections that are cut are made again within seconds', { timeout: 60_000 }, async (t) => {
  const [since, cut] = [provider.position, performance.now()];
  await provider.restart();
  await until('a registration by TCP and TLS', () => ['tcp', 'tls'].every((one) => provider.notes(since).some(({ transport }) => transport === one)), BACK);
  report(t, 'registered anew after', performance.now() - cut);
});

test('who ends takes its registrations back', { timeout: 60_000 }, async () => {
  const since = provider.position;
  await ada.close();
  ada = undefined;
  await server.stop();
  server = undefined;
  await until('three of them', () => provider.notes(since).filter(({ expires }) => expires === 0).length === TRANSPORTS.length);
});

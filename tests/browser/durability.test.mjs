/**
 * The meeting is a chat that outlives the call, and an acknowledged message outlives the server's sudden death.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createMeeting, join, openOrganiser, press, seesChat, sendChat } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { report, until } from './kit/wait.mjs';

let server;
let ada;
let meeting;

before(async () => {
  server = await startServer();
  ada = await openOrganiser(server, { person: 0 });
  meeting = await createMeeting(ada, 'Durable');
}, { timeout: 60_000 });

after(async () => {
  await ada?.close();
  await server?.stop();
}, { timeout: 30_000 });

const textsOf = (events) => events.filter(({ kind }) => kind === 'message').map(({ seq, text }) => ({ seq, text }));

test('what is said is there in the next run of the meeting', { timeout: 60_000 }, async () => {
  await join(ada, meeting.joinWebUrl, 'Ada');
  await sendChat(ada, 'said in the first run');
  await seesChat(ada, 'said in the first run');
  await press(ada, 'Leave');
  await join(ada, meeting.joinWebUrl, 'Ada');
  await seesChat(ada, 'said in the first run');
});

test('after kill -9 every acknowledged message is there, in order, once', { timeout: 90_000 }, async (t) => {
  const page = await ada.context.newPage();
  const client = await openStranger(page, server.url);
  const { token } = (await client.join(meeting.joinWebUrl, 'Writer')).body;
  await client.connect(token);
  // Writes without waiting for acks and faster than the server takes, so that the kill hits messages in every state:
  // stored, on the way, and refused (whoever writes too fast is told so, and nothing is stored).
  await page.evaluate(() => {
    window.acks = [];
    window.refusals = [];
    (async () => {
      for (let n = 0; n < 4000 && !window.stranger.closed; n += 1) {
        const text = `message ${n}`;
        window.stranger.request({ type: 'chat', clientMessageId: `w-${n}`, text }).then(
          ({ seq }) => window.acks.push({ seq, text }),
          (error) => window.refusals.push({ text, why: error.message }),
        );
        await new Promise((turn) => setTimeout(turn, n < 50 ? 0 : 20));
      }
    })();
  });
  await until('a hundred acknowledged messages', () => page.evaluate(() => window.acks.length >= 100));
  await server.kill();
  await until('the writer to notice', () => page.evaluate(() => window.stranger.closed));
  const [acknowledged, refusals] = await page.evaluate(() => [window.acks, window.refusals]);
  report(t, 'ready again after kill -9', await server.start());
  report(t, 'acknowledged before the kill', acknowledged.length, 'messages');

  const { events } = await client.connect(token, 0);
  const stored = textsOf(events);
  for (const { seq, text } of acknowledged) {
    const found = stored.filter((message) => message.text === text);
    assert.deepEqual(found, [{ seq, text }], `${text} once, at its sequence number`);
  }
  const sequence = events.map(({ seq }) => seq);
  assert.deepEqual(sequence, [...sequence].sort((a, b) => a - b), 'in order');
  assert.equal(new Set(sequence).size, sequence.length, 'each once');
  assert.equal(sequence.at(-1) - sequence[0] + 1, sequence.length, 'without a gap');
  const written = stored.filter(({ text }) => text.startsWith('message ')).map(({ text }) => Number(text.slice(8)));
  assert.deepEqual(written, [...written].sort((a, b) => a - b), 'as they were written');
  const refused = refusals.filter(({ why }) => why.startsWith('too_many_requests'));
  assert.deepEqual(refused.filter(({ text }) => stored.some((message) => message.text === text)), [], 'refused is not stored');
  const known = new Set([...written, ...refused.map(({ text }) => Number(text.slice(8)))]);
  const lastAcknowledged = Math.max(...acknowledged.map(({ text }) => Number(text.slice(8))));
  const unknown = Array.from({ length: lastAcknowledged }, (_, n) => n).filter((n) => !known.has(n));
  assert.deepEqual(unknown, [], 'up to the last acknowledged message, what is not stored was refused');

  // A resend of what was already stored is the same message.
  const last = acknowledged.at(-1);
  const again = await client.request({ type: 'chat', clientMessageId: `w-${last.text.slice(8)}`, text: last.text });
  assert.equal(again.seq, last.seq);
  assert.deepEqual(await client.deviations(), []);
  await page.close();
});

test('the page comes back by itself after the restart and says nothing twice', { timeout: 60_000 }, async () => {
  await ada.page.bringToFront();
  await seesChat(ada, 'said in the first run');
  await sendChat(ada, 'said after the restart');
  await seesChat(ada, 'said after the restart');
});

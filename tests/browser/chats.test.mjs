/**
 * Chats outside of meetings: written, answered, changed, felt about; on two devices at once, without WebSocket, through the
 * server's sudden death. Ada has pages; the others mostly act by the same API as programs do.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { createMeeting, openOrganiser } from './kit/meeting.mjs';
import { openPerson, signedIn } from './kit/person.mjs';
import { startProxy } from './kit/proxy.mjs';
import { startServer } from './kit/server.mjs';
import { openStranger } from './kit/stranger.mjs';
import { report, until } from './kit/wait.mjs';

let server;
let ada;
let phone;
let bob;
let eve;
let me;
/** Of Ada and Bob. */
let chat;

before(async () => {
  server = await startServer();
  [ada, phone] = await Promise.all([openOrganiser(server), openOrganiser(server, { context: { viewport: { width: 390, height: 844 } } })]);
  [bob, eve] = [await signedIn(server, 'Bob'), await signedIn(server, 'Eve')];
  me = await ada.page.evaluate(() => fetch('/v1/me').then((answer) => answer.json()));
}, { timeout: 90_000 });

after(async () => {
  await Promise.all([ada, phone].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const log = ({ page }) => page.getByRole('log', { name: 'Messages' });
const box = ({ page }) => page.getByRole('textbox', { name: 'Message' });
const button = ({ page }, name) => page.getByRole('button', { name, exact: true });
/** The message with that text, as the page shows it. */
const post = (viewer, text) => log(viewer).locator('[data-kind="message"]', { hasText: text });
const row = ({ page }, name) => page.getByRole('navigation', { name: 'Chats' }).getByRole('link', { name });
const sees = (viewer, text) => post(viewer, text).first().waitFor();
const textsIn = (viewer) => log(viewer).locator('.post-body').allTextContents();

async function openChats({ page }, path = '') {
  await page.goto(`${server.url}/#/chats${path}`);
  await page.getByRole('heading', { name: 'Chats', exact: true }).or(page.getByRole('log')).first().waitFor();
}

async function write(viewer, text) {
  await box(viewer).fill(text);
  await viewer.page.keyboard.press('Enter');
}

/** Opens the menu of a message and chooses. */
async function choose(viewer, text, role, name) {
  await post(viewer, text).hover();
  await post(viewer, text).getByRole('button', { name: /^More for/ }).click();
  await viewer.page.getByRole(role, { name, exact: true }).click();
}

test('Ada finds Bob and writes; Bob answers, and each sees that the other is writing', { timeout: 60_000 }, async (t) => {
  await ada.page.getByRole('link', { name: 'Chats' }).click();
  await ada.page.getByText('No chats yet').waitFor();
  await button(ada, 'New chat').click();
  await ada.page.getByRole('combobox', { name: 'Name or mail address' }).pressSequentially('bo');
  await ada.page.getByRole('option', { name: 'Bob' }).waitFor();
  await ada.page.keyboard.press('Enter');
  await button(ada, 'Start chat').click();
  const feed = await bob.listen(phone);
  await box(ada).pressSequentially('Hello Bob');
  await feed.hears('that Ada writes', ({ type, userId }) => type === 'typing' && userId === me.userId);
  const pressed = performance.now();
  await ada.page.keyboard.press('Enter');
  const { chatId } = await feed.hears('Ada', ({ event }) => event?.text === 'Hello Bob');
  report(t, 'from Enter to the other’s feed', performance.now() - pressed);
  chat = chatId;
  await until('nothing on its way', async () => (await log(ada).locator('[data-kind="pending"]').count()) === 0);

  await bob.call('POST', `/v1/chats/${chat}/typing`, {});
  await ada.page.getByText('Bob is writing…').waitFor();
  const sent = performance.now();
  await bob.say(chat, 'Hello Ada');
  await sees(ada, 'Hello Ada');
  report(t, 'from Bob’s request to Ada’s page', performance.now() - sent);
  await until('Bob no longer writing', async () => (await ada.page.getByText('Bob is writing…').count()) === 0);
  assert.deepEqual(await textsIn(ada), ['Hello Bob', 'Hello Ada']);
  await feed.close();
});

test('two people in two browsers: written, seen, answered, felt about', { timeout: 60_000 }, async (t) => {
  const other = await openPerson(server, 'Bob');
  await openChats(other);
  await row(other, 'Organiser').click();
  await sees(other, 'Hello Ada');
  await box(ada).pressSequentially('Lunch?');
  await other.page.getByText('Organiser is writing…').waitFor();
  const pressed = performance.now();
  await ada.page.keyboard.press('Enter');
  await sees(other, 'Lunch?');
  report(t, 'from Enter to the other’s page', performance.now() - pressed);
  await ada.page.getByText('Seen', { exact: true }).waitFor();
  await choose(other, 'Lunch?', 'menuitemradio', 'Laugh');
  await post(ada, 'Lunch?').getByRole('button', { name: 'Laugh: Bob', exact: true }).waitFor();
  await write(other, 'At one');
  await sees(ada, 'At one');
  assert.deepEqual(await textsIn(ada), await textsIn(other));
  assert.deepEqual(other.complaints, []);
  await other.close();
});

test('messages are changed, felt about, answered and taken back on both sides', { timeout: 60_000 }, async () => {
  const feed = await bob.listen(phone);
  await choose(ada, 'Hello Bob', 'menuitem', 'Edit');
  await write(ada, 'Good morning Bob');
  await feed.hears('the change', ({ event }) => event?.kind === 'messageEdited' && event.text === 'Good morning Bob');
  await post(ada, 'Good morning Bob').getByText('edited').waitFor();

  const asked = await bob.say(chat, 'Coffee?');
  await bob.call('PATCH', `/v1/chats/${chat}/messages/${asked.seq}`, { text: 'Tea?' });
  await sees(ada, 'Tea?');
  assert.equal(await post(ada, 'Coffee?').count(), 0);

  await choose(ada, 'Tea?', 'menuitemradio', 'Heart');
  await feed.hears('the heart', ({ event }) => event?.kind === 'messageReaction' && event.reaction === 'heart');
  const mine = post(ada, 'Tea?').getByRole('button', { name: /^Heart: you/ });
  await mine.waitFor();
  assert.equal(await mine.getAttribute('aria-pressed'), 'true');
  await bob.call('PUT', `/v1/chats/${chat}/messages/${asked.seq}/reaction`, { reaction: 'heart' });
  await post(ada, 'Tea?').getByRole('button', { name: /^Heart: .*Bob/ }).waitFor();
  await mine.click();
  await feed.hears('that it is taken back', ({ event }) => event?.kind === 'messageReaction' && event.reaction === null);
  await post(ada, 'Tea?').getByRole('button', { name: 'Heart: Bob', exact: true }).waitFor();

  await choose(ada, 'Tea?', 'menuitem', 'Reply');
  await write(ada, 'Yes, please');
  const { event: answer } = await feed.hears('the answer', ({ event }) => event?.text === 'Yes, please');
  assert.equal(answer.replyTo, asked.seq);
  await post(ada, 'Yes, please').getByRole('button', { name: /Answer to Bob/ }).waitFor();

  await choose(ada, 'Yes, please', 'menuitem', 'Delete');
  await button(ada, 'Delete').click();
  await feed.hears('the deletion', ({ event }) => event?.kind === 'messageDeleted' && event.message === answer.seq);
  await sees(ada, 'This message was deleted.');
  await bob.call('DELETE', `/v1/chats/${chat}/messages/${asked.seq}`);
  await until('Bob’s message to be gone', async () => (await textsIn(ada)).filter((text) => text === 'This message was deleted.').length === 2);
  await feed.close();
});

test('what is read on one device is read on the other, and the start page counts the rest', { timeout: 60_000 }, async (t) => {
  await openChats(phone);
  await row(phone, 'Bob').waitFor();
  await openChats(ada);
  await bob.say(chat, 'one');
  await bob.say(chat, 'two');
  await row(phone, /Bob.*2 unread messages/s).waitFor();
  const start = await ada.context.newPage();
  await start.goto(server.url);
  await start.getByRole('link', { name: /^Chats.*2 unread messages/ }).waitFor();
  await start.close();
  const opened = performance.now();
  await row(ada, /Bob/).click();
  await until('nothing unread on the phone', async () => (await phone.page.locator('[data-unread="0"]', { hasText: 'Bob' }).count()) === 1);
  report(t, 'from opening the chat here to read there', performance.now() - opened);
  await log(ada).locator('[data-kind="new"]').waitFor();
  const stored = await bob.call('GET', `/v1/chats/${chat}`);
  assert.ok(stored.members.find(({ userId }) => userId === me.userId).lastReadSeq >= stored.lastSeq - 1);
});

test('a script in a message does not run, even if the server let it through', { timeout: 60_000 }, async () => {
  const evil = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script><a href="javascript:window.harmed=1">press</a><b onclick="window.harmed=1">bold</b><svg onload="window.harmed=1"></svg><iframe srcdoc="<script>parent.harmed=1</script>"></iframe>';
  await bob.say(chat, evil);
  await bob.say(chat, `${evil}<p>from the server</p>`, { contentType: 'html' });
  await sees(ada, 'from the server');
  assert.ok((await textsIn(ada)).includes(evil), 'text is shown as it was written');
  // A server that cleans nothing.
  await phone.page.route(/\/messages\?before=/, async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    for (const event of body.value) if (event.html !== undefined) event.html = `${evil}<p>from the server</p>`;
    await route.fulfill({ response: answer, json: body });
  });
  await openChats(phone, `/${chat}`);
  await sees(phone, 'from the server');
  await phone.page.unrouteAll({ behavior: 'wait' });
  for (const viewer of [ada, phone]) {
    const found = await viewer.page.evaluate(() => {
      const bold = [...document.querySelectorAll('.post-body b')].at(-1);
      if (bold instanceof HTMLElement) bold.click();
      return { harmed: window.harmed, foreign: document.querySelectorAll('.post-body :is(img, script, iframe, svg, a:not([href^="http"]), [onclick])').length, bold: bold?.textContent };
    });
    assert.deepEqual(found, { harmed: undefined, foreign: 0, bold: 'bold' });
  }
});

test('reading back keeps the place, and search leads to a message', { timeout: 90_000 }, async (t) => {
  for (let n = 0; n < 230; n += 1) await bob.say(chat, `line ${n}${n === 7 ? ' needle' : ''}`);
  await openChats(ada);
  await ada.page.reload();
  await row(ada, /Bob/).click();
  await sees(ada, 'line 229');
  const jumps = await ada.page.evaluate(async () => {
    const scroll = document.querySelector('[role=log]');
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const seqs = () => [...scroll.querySelectorAll('[data-seq]')].map((element) => Number(element.dataset.seq));
    const jumps = [];
    for (let steps = 0; steps < 400 && scroll.scrollTop > 0; steps += 1) {
      const edge = scroll.getBoundingClientRect().top;
      const anchor = [...scroll.querySelectorAll('[data-seq]')].find((element) => element.getBoundingClientRect().top >= edge);
      const before = anchor.getBoundingClientRect().top;
      const top = scroll.scrollTop;
      scroll.scrollTop = Math.max(0, top - 180);
      const moved = top - Math.max(0, top - 180);
      await frame();
      await frame();
      jumps.push(Math.abs(anchor.getBoundingClientRect().top - before - moved));
      const order = seqs();
      if (order.some((seq, index) => index > 0 && seq <= order[index - 1])) throw new Error('out of order');
    }
    return { most: Math.max(...jumps), first: seqs()[0] };
  });
  report(t, 'the place moved by at most', jumps.most, 'px');
  assert.ok(jumps.most <= 2, `${jumps.most} px`);
  await until('the beginning', async () => (await textsIn(ada)).length > 230);

  await ada.page.reload();
  await sees(ada, 'line 229');
  await ada.page.getByRole('searchbox', { name: 'Search messages' }).fill('needle');
  const hit = ada.page.getByRole('link', { name: /line 7 needle/ });
  await hit.waitFor();
  const pressed = performance.now();
  await hit.click();
  await until('the message in view', () =>
    post(ada, 'line 7 needle').evaluate((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return top > 0 && bottom < innerHeight;
    }));
  report(t, 'from the hit to the message, 230 back', performance.now() - pressed);
  await button(ada, 'Clear the search').click();
  await row(ada, 'Bob').waitFor();
});

test('a group: people come, are spoken to, go, and one leaves oneself', { timeout: 60_000 }, async () => {
  await openChats(ada);
  await button(ada, 'New chat').click();
  const picker = ada.page.getByRole('combobox', { name: 'Name or mail address' });
  for (const name of ['Bob', 'Eve']) {
    await picker.fill(name);
    await ada.page.getByRole('option', { name }).click();
  }
  await ada.page.getByRole('textbox', { name: /Topic/ }).fill('Kitchen');
  await button(ada, 'Start chat').click();
  await ada.page.getByRole('heading', { name: 'Kitchen' }).waitFor();
  const feed = await eve.listen(phone);
  await box(ada).pressSequentially('Look, @ev');
  await ada.page.getByRole('option', { name: 'Eve' }).waitFor();
  await ada.page.keyboard.press('Enter');
  await ada.page.keyboard.press('Enter');
  const { event, chatId } = await feed.hears('that she is meant', (message) => message.event?.mentions?.length === 1);
  assert.deepEqual([event.text, event.mentions[0].userId], ['Look, @Eve', eve.userId]);

  await button(ada, 'People in this chat').click();
  await button(ada, 'Take Bob out of this chat').click();
  await until('Bob to be out', async () => (await eve.call('GET', `/v1/chats/${chatId}`)).members.length === 2);
  await until('Bob to be out of the list', async () => (await ada.page.getByRole('dialog').getByRole('listitem').count()) === 2);
  const adding = ada.page.getByRole('dialog').getByRole('combobox');
  await adding.fill('bob');
  await ada.page.getByRole('option', { name: 'Bob' }).click();
  await ada.page.getByRole('checkbox', { name: /written before/ }).check();
  await button(ada, 'Add').click();
  await ada.page.getByRole('dialog').getByRole('button', { name: 'Take Bob out of this chat' }).waitFor();
  assert.deepEqual((await bob.messages(chatId)).map(({ text }) => text), ['Look, @Eve'], 'whoever may read what was before, can');
  await ada.page.getByRole('dialog').getByRole('textbox', { name: 'Topic' }).fill('Garden');
  await button(ada, 'Rename').click();
  await ada.page.locator('h2', { hasText: 'Garden' }).waitFor();
  await button(ada, 'Leave this chat').click();
  await button(ada, 'Leave').click();
  await until('the chat to be gone from the list', async () => (await row(ada, /Garden/).count()) === 0);
  await ada.page.getByText('you are no longer in it').waitFor();
  await feed.close();
});

test('the chat of a meeting is here, and to read it is to have read it', { timeout: 60_000 }, async () => {
  const meeting = await createMeeting(ada, 'Weekly', { canAnonymousStart: true });
  // Without Ada's cookie, or the guest would be her.
  const strangers = await ada.browser.newContext();
  const page = await strangers.newPage();
  const guest = await openStranger(page, server.url);
  const { token } = (await guest.join(meeting.joinWebUrl, 'Gast')).body;
  await guest.connect(token);
  await guest.request({ type: 'chat', clientMessageId: 'g-1', text: 'Is anybody here?' });
  await openChats(ada);
  await row(ada, /Weekly.*1 unread message/s).click();
  await sees(ada, 'Is anybody here?');
  await log(ada).getByText('Gast joined').waitFor();
  assert.equal(await ada.page.getByRole('link', { name: 'Join the meeting' }).getAttribute('href'), new URL(meeting.joinWebUrl).pathname);
  await until('nothing unread in the list of meetings', () =>
    ada.page.evaluate(async (id) => {
      const { value } = await fetch('/v1/onlineMeetings').then((answer) => answer.json());
      return value.find((one) => one.id === id).unread === 0;
    }, meeting.id));
  await write(ada, 'I am, in a minute');
  await until('the guest to read it', () => page.evaluate(() => window.stranger.events.some(({ text }) => text === 'I am, in a minute')));
  await strangers.close();
});

test('a message whose answer is lost on the way is sent again, and stands once', { timeout: 60_000 }, async () => {
  await openChats(ada, `/${chat}`);
  await sees(ada, 'line 229');
  let lost = 0;
  await ada.page.route(/\/messages$/, async (route) => {
    if (lost > 0) {
      await route.fallback();
      return;
    }
    lost += 1;
    await route.fetch();
    await route.abort('connectionreset');
  });
  await write(ada, 'said once');
  await write(ada, 'and this after it');
  await sees(ada, 'and this after it');
  await until('nothing on its way', async () => (await log(ada).locator('[data-kind="pending"]').count()) === 0);
  await ada.page.unrouteAll({ behavior: 'wait' });
  assert.equal(lost, 1);
  const { value } = await bob.call('GET', `/v1/chats/${chat}/messages?before=100000&$top=50`);
  const said = value.map(({ text }) => text).filter((text) => text === 'said once' || text === 'and this after it');
  assert.deepEqual(said, ['said once', 'and this after it']);
});

test('where WebSocket is refused, the same happens over a long poll', { timeout: 60_000 }, async (t) => {
  const proxy = await startProxy({ tcpTarget: server.port, refuseUpgrade: true });
  const far = await openBrowser();
  const at = (address) => address.replace(`:${server.port}/`, `:${proxy.tcpPort}/`);
  let polls = 0;
  far.page.on('request', (request) => (polls += request.url().includes('/v1/me/events') ? 1 : 0));
  await far.page.goto(at(await server.link()));
  await far.page.getByRole('link', { name: /^Chats/ }).click();
  await row(far, /Bob/).click();
  await sees(far, 'line 229');
  await until('polls', () => polls >= 2);
  const sent = performance.now();
  await bob.say(chat, 'by another way');
  await sees(far, 'by another way');
  report(t, 'from Bob’s request to the page that polls', performance.now() - sent);
  await write(far, 'and back');
  await until('the answer to be stored', async () => (await bob.messages(chat)).some(({ text }) => text === 'and back') || (await bob.call('GET', '/v1/me/chats')).value[0].lastMessagePreview.text === 'and back');
  await until('nothing on its way', async () => (await log(far).locator('[data-kind="pending"]').count()) === 0);
  await far.close();
  proxy.close();
});

test('after kill -9 the page comes back by itself, with what was written in between, once', { timeout: 90_000 }, async (t) => {
  await openChats(ada, `/${chat}`);
  await sees(ada, 'and back');
  await write(ada, 'before the kill');
  await until('nothing on its way', async () => (await log(ada).locator('[data-kind="pending"]').count()) === 0);
  await server.kill();
  await write(ada, 'written while it was away');
  await write(ada, 'and one more');
  await log(ada).getByText('Waiting for the connection…').first().waitFor();
  await ada.page.getByText('The connection is gone.').waitFor();
  report(t, 'ready again after kill -9', await server.start());
  const ready = performance.now();
  const feed = await bob.listen(phone);
  await bob.say(chat, 'welcome back');
  await sees(ada, 'welcome back');
  report(t, 'from ready to what was written since', performance.now() - ready);
  await until('nothing on its way', async () => (await log(ada).locator('[data-kind="pending"]').count()) === 0);
  report(t, 'from ready to everything sent', performance.now() - ready);
  const shown = (await textsIn(ada)).slice(-4);
  assert.deepEqual([...shown].sort(), ['and one more', 'before the kill', 'welcome back', 'written while it was away']);
  const { value } = await bob.call('GET', `/v1/chats/${chat}/messages?before=100000&$top=50`);
  const stored = value.filter(({ kind }) => kind === 'message').map(({ text }) => text);
  assert.deepEqual(stored.slice(-4), shown, 'in the order of the store, each once');
  assert.ok(stored.indexOf('written while it was away') < stored.indexOf('and one more'), 'as they were written');
  await until('the note to be gone', async () => (await ada.page.getByText('The connection is gone.').count()) === 0);
  await feed.close();
});

test('whoever is not signed in is told so, before and while the page is open', { timeout: 60_000 }, async () => {
  const guests = await ada.browser.newContext();
  const page = await guests.newPage();
  await page.goto(`${server.url}/#/chats`);
  await page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
  await guests.close();
  await openChats(phone);
  await row(phone, /Bob/).click();
  await box(phone).waitFor();
  await phone.page.evaluate(() => fetch('/v1/session', { method: 'DELETE', headers: { 'content-type': 'application/json' } }));
  await write(phone, 'from nobody');
  await phone.page.getByRole('heading', { name: 'You are not signed in' }).waitFor();
});

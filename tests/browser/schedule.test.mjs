/**
 * A meeting with a time, from its organiser's view: scheduled, invited to, moved, its link exchanged, and who was there.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { openBrowser } from './kit/browser.mjs';
import { SIZES, judge } from './kit/judge.mjs';
import { join, openOrganiser } from './kit/meeting.mjs';
import { startServer } from './kit/server.mjs';
import { until } from './kit/wait.mjs';

const ZOOMED = [...SIZES, { width: 320, height: 640 }];

let server;
let ada;
let bob;

before(async () => {
  server = await startServer();
  [ada, bob] = await Promise.all([openOrganiser(server, { person: 0 }), openBrowser({ person: 1 })]);
}, { timeout: 60_000 });

after(async () => {
  await Promise.all([ada, bob].map((one) => one?.close()));
  await server?.stop();
}, { timeout: 30_000 });

const dialog = () => ada.page.locator('dialog');
const press = (name) => ada.page.getByRole('button', { name, exact: true }).click();
const row = () => ada.page.locator('.meeting-row').filter({ hasText: 'Review' });
const invitation = () => dialog().getByRole('textbox', { name: 'Invitation' }).inputValue();
const linkIn = (text) => /https?:\/\/\S+\/join\/\S+/.exec(text)[0];

test('a meeting is scheduled, and its invitation has link, number, passcode and a calendar file', { timeout: 60_000 }, async () => {
  await press('Schedule…');
  await dialog().getByLabel('Subject').fill('Review');
  await dialog().getByLabel('Starts').fill('2036-11-24T10:00');
  assert.equal(await dialog().getByLabel('Ends').inputValue(), '2036-11-24T10:30', 'the end moves along');
  await dialog().getByLabel('Ends').fill('2036-11-24T09:00');
  await press('Schedule it');
  await dialog().getByText('The meeting ends before it starts.').waitFor();
  await judge(ada, 'schedule', ZOOMED);
  await dialog().getByLabel('Ends').fill('2036-11-24T11:00');
  await press('Schedule it');
  await dialog().getByText('The meeting is scheduled').waitFor();
  const text = await invitation();
  for (const part of ['Review', 'Meeting number: ', 'Passcode: ', '10:00', '11:00']) assert.ok(text.includes(part), `${part} in ${text}`);
  await judge(ada, 'invitation', ZOOMED);
  const [file] = await Promise.all([ada.page.waitForEvent('download'), dialog().getByRole('link', { name: 'Calendar file (.ics)' }).click()]);
  const calendar = readFileSync(await file.path(), 'utf8');
  assert.ok(file.suggestedFilename().endsWith('.ics'));
  assert.ok(calendar.replaceAll('\r\n ', '').includes(linkIn(text)), calendar);
  await dialog().getByRole('button', { name: 'Close' }).click();
  await row().getByText('Link good until').waitFor();
});

test('it is moved, and its link is exchanged: the one of before is no way in', { timeout: 60_000 }, async () => {
  await row().getByText('Manage').click();
  await judge(ada, 'manage-meeting', ZOOMED);
  await press('Change subject or time');
  await dialog().getByLabel('Starts').fill('2036-11-25T15:00');
  await press('Save');
  await row().getByText(/Nov 25, 2036/).waitFor();
  await row().getByText('Manage').click();
  await press('Invitation');
  const before = linkIn(await invitation());
  await dialog().getByRole('button', { name: 'Close' }).click();
  await press('New link and passcode');
  await press('Exchange it');
  await until('another link', async () => {
    const now = linkIn(await invitation());
    if (now === before) throw new Error('the same');
    return now;
  });
  const link = linkIn(await invitation());
  await dialog().getByRole('button', { name: 'Close' }).click();
  await bob.page.goto(before);
  await bob.page.getByText(/There is no such meeting|does not exist|link is wrong|not found/i).first().waitFor();
  await join(ada, link, 'Ada');
  await join(bob, link, 'Bob');
});

test('the attendance report tells who was there', { timeout: 60_000 }, async () => {
  for (const one of [bob, ada]) await one.page.getByRole('button', { name: 'Leave', exact: true }).click();
  await ada.page.goto(server.url);
  await row().getByText('Manage').click();
  await press('Attendance');
  const table = dialog().getByRole('table');
  await table.getByRole('rowheader', { name: 'Ada' }).waitFor();
  await table.getByRole('rowheader', { name: 'Bob' }).waitFor();
  await table.getByText('Organiser', { exact: true }).waitFor();
  await judge(ada, 'attendance', ZOOMED);
  const [file] = await Promise.all([ada.page.waitForEvent('download'), dialog().getByRole('link', { name: 'Download (.csv)' }).click()]);
  assert.match(readFileSync(await file.path(), 'utf8'), /Ada,organizer,/);
});

test('its chat is one step away', { timeout: 60_000 }, async () => {
  await ada.page.goto(server.url);
  await row().getByRole('link', { name: 'Chat: Review', exact: true }).click();
  const thread = ada.page.getByRole('region', { name: 'Review', exact: true });
  await thread.getByRole('log', { name: 'Messages' }).getByText('Bob joined').first().waitFor();
});

/**
 * Puts the notice of a call together with what it needs, for a page that has a feed, for one that has none, and for a meeting.
 *
 * Why a module of its own, loaded when somebody is signed in: guests have no number.
 */

import { feedEnv } from '../app/browser.js';
import { keepAnswer, secretOf } from '../app/place.js';
import { Ringing } from '../app/ringing.js';
import { pageBefore, pollEvents } from '../protocol/chats-http.js';
import { Feed } from '../protocol/feed.js';
import { listMeetings, readMeeting } from '../protocol/http.js';
import { callerNumber, decline } from '../protocol/phones-http.js';
import { phones as words } from '../text/en-phone.js';
import { explain } from './problems.js';
import { createRinging } from './ringing.js';

/** A call that rings has told little else. */
const FIRST = 20;

/** @typedef {{ go: (path: string) => unknown, isHere: (meetingId: string) => boolean }} Within A meeting: how it is left for another one, and whether it is that one. */

/** Beside a feed that somebody else has: what it tells goes to `ringing.take`. @param {Within} [within] */
export function openRinging(within) {
  /** @type {import('../app/ringing.js').RingingApi} */
  const api = { listMeetings, readMeeting: (id) => readMeeting(id), begin: async (id) => (await pageBefore(id, FIRST, FIRST)).value, decline, callerNumber };
  const leave = within?.go ?? ((path) => window.location.assign(path));
  /** @param {string} path */
  const go = (path) => {
    keepAnswer(secretOf(path) ?? '');
    return leave(path);
  };
  const ringing = new Ringing({ api, explain, ...within, go });
  void ringing.look().catch(() => {});
  return { ringing, ...createRinging(ringing, within && words.leaveAndAnswer) };
}

/** With a feed of its own. @param {Within} [within] */
export function openRingingAlone(within) {
  const { ringing, element, dispose } = openRinging(within);
  const feed = new Feed(feedEnv(pollEvents), {
    receive: (message) => ringing.take(message),
    reload: () => {},
    link: () => {},
    refused: () => {},
  });
  feed.start();
  return {
    element,
    dispose() {
      feed.close();
      dispose();
    },
  };
}

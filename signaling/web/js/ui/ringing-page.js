/**
 * Puts the notice of a call together with what it needs, for a page that has a feed, for one that has none, and for a meeting.
 *
 * Why a module of its own, loaded when somebody is signed in: guests have no number.
 */

import { feedEnv } from '../app/browser.js';
import { keepAnswer, secretOf } from '../app/place.js';
import { Ringing } from '../app/ringing.js';
import { createBell } from '../media/bell.js';
import { pageBefore, pollEvents } from '../protocol/chats-http.js';
import { Feed } from '../protocol/feed.js';
import { listMeetings, readMeeting } from '../protocol/http.js';
import { callerNumber, decline } from '../protocol/phones-http.js';
import { phones as words } from '../text/en-phone.js';
import { explain } from './problems.js';
import { createRinging } from './ringing.js';

/** A call that rings has told little else. */
const FIRST = 20;
/** How loud it rings, and how loud where a meeting is to be heard as well. */
const VOLUME = 0.5;
const VOLUME_WITHIN = 0.12;

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
  const bell = createBell(within ? VOLUME_WITHIN : VOLUME);
  const end = ringing.store.subscribe((calls) => bell(calls.length > 0));
  void ringing.look().catch(() => {});
  const { element, dispose } = createRinging(ringing, within && words.leaveAndAnswer);
  return {
    ringing,
    element,
    dispose() {
      end();
      bell(false);
      dispose();
    },
  };
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

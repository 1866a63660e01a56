/**
 * Puts the chats page together with what it needs: the feed, the calls, the join links of one's meetings.
 *
 * Why a module of its own, loaded when it is wanted: whoever joins a meeting does not wait for the code of chats.
 */

import { feedEnv } from '../app/browser.js';
import { Callers } from '../app/callers.js';
import { Chats } from '../app/chats.js';
import * as api from '../protocol/chats-http.js';
import { listMeetings } from '../protocol/http.js';
import { callerNumber } from '../protocol/phones-http.js';
import { createChats } from './chats.js';
import { explain } from './problems.js';
import { openRinging } from './ringing-page.js';

/** @import { Me } from '../protocol/http.js' */

/** @param {{ me: Me, signedOut: () => void }} context */
export function openChats({ me, signedOut }) {
  const calls = openRinging();
  const heard = (/** @type {import('../protocol/feed-messages.js').News} */ message) => calls.ringing.take(message);
  const chats = new Chats({ me: me.userId, api, env: feedEnv(api.pollEvents), signedOut, explain, heard });
  const page = createChats({ chats, api, joinLink: joinLinks(), callerNumber: new Callers(callerNumber).number });
  page.element.prepend(calls.element);
  chats.start();
  return {
    ...page,
    dispose() {
      calls.dispose();
      page.dispose();
    },
  };
}

/** Asked for once, and again for a chat that was not among them: its meeting may be new. */
function joinLinks() {
  /** @type {Promise<Map<string, string>> | null} */
  let links = null;
  const read = () =>
    listMeetings('/v1/onlineMeetings?$top=200').then(
      ({ value }) => new Map(value.map(({ chatId, joinWebUrl }) => [chatId, new URL(joinWebUrl).pathname])),
      () => new Map(),
    );
  /** @param {string} chatId @returns {Promise<string | null>} */
  return async (chatId) => {
    const known = await links;
    if (!known?.has(chatId)) links = read();
    return (await links)?.get(chatId) ?? null;
  };
}

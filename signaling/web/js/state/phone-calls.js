/**
 * Calls out of the meeting to phones: those that go on, and for a while those that came to nothing.
 *
 * Why an end stays: the server says it once, and whoever called should have time to read it. A call that was joined is a
 * participant from then on, and is gone from here without a word.
 */

import { announce } from './notices.js';

/** @import { MeetingState } from './meeting.js' */
/** @import { PhoneCall } from '../protocol/messages.js' */

/**
 * The whole list as the server says it, with the ends that are not seen yet; everybody keeps their place.
 *
 * @param {readonly PhoneCall[]} before
 * @param {readonly PhoneCall[]} told
 * @returns {readonly PhoneCall[]}
 */
export function mergeCalls(before, told) {
  const now = new Map(told.map((call) => [call.id, call]));
  const kept = before.flatMap((call) => now.get(call.id) ?? (call.status === 'ended' ? call : []));
  const known = new Set(kept.map(({ id }) => id));
  const calls = [...kept, ...told.filter(({ id }) => !known.has(id))].filter(({ status }) => status !== 'joined');
  return calls.length === 0 && before.length === 0 ? before : calls;
}

/**
 * What begins and what came to nothing is said to those who only hear.
 *
 * @param {MeetingState} state
 * @param {readonly PhoneCall[]} told
 * @returns {MeetingState}
 */
export function reducePhoneCalls(state, told) {
  const before = new Map(state.phoneCalls.map((call) => [call.id, call.status]));
  let next = { ...state, phoneCalls: mergeCalls(state.phoneCalls, told) };
  for (const call of next.phoneCalls) {
    const was = before.get(call.id);
    if (call.status === 'ended' && was !== 'ended') next = announce(next, { code: 'phoneEnded', call });
    else if (was === undefined) next = announce(next, { code: 'phoneCalled', call });
  }
  return next;
}

/** An end has been seen. @param {readonly PhoneCall[]} calls @param {string} id */
export const forgetCall = (calls, id) => calls.filter((call) => call.id !== id || call.status !== 'ended');

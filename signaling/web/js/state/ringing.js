/**
 * Calls to one's own number that ring at this moment, from what the feed tells: a pure reducer.
 *
 * Why an end by time, too: a page that lost its connection hears of no answer, and must not ring for ever.
 *
 *   phoneCall events -> ring -> expire (when `until` is over) -> ui/ringing.js
 */

/** @import { PhoneCallEvent } from '../protocol/messages.js' */

/** @typedef {{ callId: string, meetingId: string, caller: string | null, until: number }} RingingCall `caller`: masked until it is known whole. `until`: milliseconds since 1970. */

/** More do not ring at a time: the newest count. */
const RINGING_MAX = 3;

/**
 * @param {readonly RingingCall[]} calls
 * @param {Pick<PhoneCallEvent, 'callId' | 'meetingId' | 'caller' | 'state' | 'until'>} event
 * @param {number} now
 * @returns {readonly RingingCall[]}
 */
export function ring(calls, { callId, meetingId, caller, state, until }, now) {
  const known = calls.find((call) => call.callId === callId);
  const others = calls.filter((call) => call !== known);
  const end = until === undefined ? Number.NaN : Date.parse(until);
  if (state === 'ringing' && end > now) return [...others, { callId, meetingId, caller: known?.caller ?? caller, until: end }].slice(-RINGING_MAX);
  return others.length === calls.length ? calls : others;
}

/** @param {readonly RingingCall[]} calls @param {number} now @returns {readonly RingingCall[]} */
export function expire(calls, now) {
  const left = calls.filter(({ until }) => until > now);
  return left.length === calls.length ? calls : left;
}

/** @typedef {{ type: 'told', event: PhoneCallEvent, now: number } | { type: 'tick', now: number } | { type: 'named', callId: string, caller: string } | { type: 'done', callId: string }} RingingAction */

/** @param {readonly RingingCall[]} calls @param {RingingAction} action @returns {readonly RingingCall[]} */
export function reduceRinging(calls, action) {
  switch (action.type) {
    case 'told':
      return ring(calls, action.event, action.now);
    case 'tick':
      return expire(calls, action.now);
    case 'named':
      return calls.map((call) => (call.callId === action.callId ? { ...call, caller: action.caller } : call));
    case 'done':
      return calls.filter(({ callId }) => callId !== action.callId);
  }
}

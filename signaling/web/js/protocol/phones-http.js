/**
 * Calls out of a meeting and to one's own number, by plain HTTP. How calls out go is told by the live connection, to everybody in it.
 */

import { call } from './http.js';

/** @param {string} meetingId */
const calls = (meetingId) => `/v1/onlineMeetings/${encodeURIComponent(meetingId)}/phoneCalls`;
/** @param {string} meetingId @param {string} callId */
const one = (meetingId, callId) => `${calls(meetingId)}/${encodeURIComponent(callId)}`;

/**
 * @param {string} meetingId
 * @param {string} token The participant's.
 * @param {string} phoneNumber As it was typed: the server knows best what can be called.
 * @param {string} displayName Empty: the others see a part of the number.
 */
export const callPhone = (meetingId, token, phoneNumber, displayName) =>
  call('POST', calls(meetingId), { token, body: { phoneNumber, ...(displayName === '' ? {} : { displayName }) } });

/** @param {string} meetingId @param {string} token @param {string} callId */
export const hangUp = (meetingId, token, callId) => call('DELETE', one(meetingId, callId), { token });

/** Hangs up as the organiser, from outside of the meeting. @param {string} meetingId @param {string} callId */
export const decline = (meetingId, callId) => call('DELETE', one(meetingId, callId));

/** The number of whoever called one's own, whole. @param {string} meetingId @param {string} callId @returns {Promise<string | null>} Null: withheld, or not for us. */
export async function callerNumber(meetingId, callId) {
  const { callerNumber: number } = /** @type {{ callerNumber?: unknown }} */ (await call('GET', one(meetingId, callId)));
  return typeof number === 'string' ? number : null;
}

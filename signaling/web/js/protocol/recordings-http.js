/**
 * Calls about recordings: lists, one with what is in it, its side files, and what may be done with it.
 *
 * Why a module of its own: only the pages of recordings need it, and they are loaded when they are opened.
 */

import { ApiError, call } from './http.js';

/** @import { PublicationKind } from './messages.js' */

/** @typedef {'read' | 'readChat' | 'change' | 'render' | 'delete' | 'purge'} Permission */
/** @typedef {'recording' | 'ready' | 'failed'} RowState */
/**
 * @typedef {object} Recording As lists have it.
 * @property {string} id
 * @property {string} subject The meeting's; may be empty.
 * @property {RowState} state
 * @property {string} createdDateTime
 * @property {string} [endDateTime]
 * @property {number} [durationMs]
 * @property {number} [size] In bytes, once it is stored.
 * @property {{ number: number, first: string }} part
 * @property {string | null} expirationDateTime Null: never.
 * @property {string} [deletedDateTime]
 * @property {'off' | 'link'} sharing
 * @property {string} [shareUrl] Said once, in the answer that made it.
 * @property {Permission[]} permissions
 * @property {string} contentUrl
 */
/**
 * @typedef {object} RecordedTrack
 * @property {number} number
 * @property {string} participantId
 * @property {string} displayName
 * @property {PublicationKind} kind
 * @property {string} contentType
 * @property {number} size
 * @property {number} offsetMs
 * @property {number} durationMs
 * @property {string} contentUrl
 */
/** @typedef {'tiles' | 'speaker'} GridLayout */
/** @typedef {{ kind: 'wav' } | { kind: 'grid', layout: GridLayout }} RenditionWish */
/** @typedef {{ state: 'queued' } | { state: 'running', percent: number } | { state: 'ready' } | { state: 'failed', reason: string }} RenditionState */
/** @typedef {{ name: string, files: { name: string, contentUrl: string }[] } & RenditionWish & RenditionState} Rendition */
/** @typedef {{ startedBy?: string, complete: boolean, contentSize?: number, contentType?: string, tracks: RecordedTrack[], renditions: Rendition[], timelineUrl: string, chatUrl?: string }} Contents */
/** @typedef {Recording & Contents} RecordingDetails */
/**
 * @typedef {object} Timeline Times in milliseconds on the recording's clock.
 * @property {string} startedAt
 * @property {number} durationMs
 * @property {{ id: string, name: string }[]} participants
 * @property {{ participant: string, fromMs: number, toMs: number }[]} speaking
 * @property {{ atMs: number, from: string, to: string, cause: 'paused' | 'diskFull' }[]} breaks The clock stood still.
 */
/** @typedef {{ seq: number, offsetMs: number, from: { displayName: string }, text: string }} ChatLine `offsetMs`: of the clock on the wall. */
/** @typedef {{ value: Recording[], '@odata.nextLink'?: string }} RecordingPage */
/** @typedef {{ expirationDateTime?: string | null, sharing?: 'off' | 'link' }} Changes */

/** @param {string} id */
const path = (id) => `/v1/recordings/${encodeURIComponent(id)}`;

/** @param {string} [link] The next page; without one, the first. @returns {Promise<RecordingPage>} Newest first. */
export const listMine = async (link) => /** @type {RecordingPage} */ (await call('GET', link ?? '/v1/recordings?$top=50'));

/** Those that are deleted and that one may bring back. @param {string} [link] @returns {Promise<RecordingPage>} */
export const listDeleted = (link) => listMine(link ?? '/v1/recordings?deleted=true&$top=50');

/** @param {string} id @returns {Promise<RecordingDetails>} */
export const read = async (id) => /** @type {RecordingDetails} */ (await call('GET', path(id)));

/** @param {string} id @returns {Promise<Timeline | null>} Null while there is none: it is written when the recording is stored. */
export const readTimeline = (id) =>
  call('GET', `${path(id)}/timeline`).then(
    (timeline) => /** @type {Timeline} */ (timeline),
    (error) => {
      if (error instanceof ApiError && (error.status === 409 || error.status === 404)) return null;
      throw error;
    },
  );

/** @param {string} id @returns {Promise<ChatLine[]>} In the order in which they were written. */
export const readChat = async (id) => /** @type {{ value: ChatLine[] }} */ (await call('GET', `${path(id)}/chat?format=json`)).value;

/** @param {string} id @param {Changes} changes @returns {Promise<Recording>} */
export const change = async (id, changes) => /** @type {Recording} */ (await call('PATCH', path(id), { body: changes }));

/** @param {string} id */
export const remove = (id) => call('DELETE', path(id));

/** @param {string} id @returns {Promise<Recording>} */
export const restore = async (id) => /** @type {Recording} */ (await call('POST', `${path(id)}/restore`));

/** @param {string} id @returns {Promise<Rendition[]>} */
export const listRenditions = async (id) => /** @type {{ value: Rendition[] }} */ (await call('GET', `${path(id)}/renditions`)).value;

/** @param {string} id @param {RenditionWish} what @returns {Promise<Rendition>} */
export const render = async (id, what) => /** @type {Rendition} */ (await call('POST', `${path(id)}/renditions`, { body: what }));

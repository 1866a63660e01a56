/**
 * What a recording is at the moment, and what its side files say of a position in it: questions without a browser.
 *
 *   recording -> phase, downloads, busy        timeline -> lanes, speakers, breaks
 *   chat, breaks -> lines on the recording's clock -> how many of them at a position
 */

/** @import { ChatLine, Rendition, RecordingDetails, Timeline } from '../protocol/recordings-http.js' */

/** @typedef {'live' | 'storing' | 'complete' | 'failed'} Phase */
/** @typedef {{ id: string, name: string, turns: { fromMs: number, toMs: number }[], totalMs: number }} Lane */
/** @typedef {ChatLine & { atMs: number }} PlacedLine */

/** @param {Pick<RecordingDetails, 'state' | 'complete'>} recording @returns {Phase} */
export function phaseOf({ state, complete }) {
  if (state === 'recording') return 'live';
  if (state === 'failed') return 'failed';
  return complete ? 'complete' : 'storing';
}

/** Whether the composed file still changes, so that a player needs a snapshot of it. @param {Pick<RecordingDetails, 'state' | 'complete'>} recording */
export const isGrowing = (recording) => !recording.complete && phaseOf(recording) !== 'failed';

/**
 * Where to play from. A file that grows is asked for as it was at one moment: a player reads it in several ranges.
 *
 * @param {Pick<RecordingDetails, 'state' | 'complete' | 'contentUrl' | 'contentSize'>} recording
 * @returns {string | null} Null where nothing is written.
 */
export function sourceOf(recording) {
  if (recording.contentSize === undefined || recording.contentSize === 0) return null;
  return recording.complete ? recording.contentUrl : `${recording.contentUrl}?upto=${recording.contentSize}`;
}

/**
 * What there is beyond what is being played.
 *
 * @param {Pick<RecordingDetails, 'state' | 'complete' | 'contentUrl' | 'contentSize'>} recording
 * @param {string | null} source What is being played.
 * @returns {'nothing' | 'more' | 'whole'}
 */
export function offerOf(recording, source) {
  const now = sourceOf(recording);
  if (now === null || now === source) return 'nothing';
  return recording.complete ? 'whole' : 'more';
}

/** One lane for each who spoke, whoever spoke first on top. @param {Timeline} timeline @returns {Lane[]} */
export function lanesOf({ participants, speaking }) {
  const names = new Map(participants.map(({ id, name }) => [id, name]));
  /** @type {Map<string, Lane>} */
  const lanes = new Map();
  for (const { participant, fromMs, toMs } of speaking) {
    if (toMs <= fromMs) continue;
    const lane = lanes.get(participant) ?? { id: participant, name: names.get(participant) ?? '?', turns: [], totalMs: 0 };
    lane.turns.push({ fromMs, toMs });
    lane.totalMs += toMs - fromMs;
    lanes.set(participant, lane);
  }
  return [...lanes.values()];
}

/** @param {Lane} lane @param {number} atMs */
export const isSpeaking = ({ turns }, atMs) => turns.some(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);

/** Where somebody speaks next; after their last turn, their first. @param {Lane} lane @param {number} atMs */
export const nextTurn = ({ turns }, atMs) => (turns.find(({ fromMs }) => fromMs > atMs + 1) ?? turns[0])?.fromMs ?? 0;

/** The path of a lane in a box of the recording's length by one. @param {Lane} lane */
export const laneShape = ({ turns }) => turns.map(({ fromMs, toMs }) => `M${fromMs} 0H${toMs}V1H${fromMs}Z`).join('');

/**
 * Lines of the chat on the recording's clock, which stands still in breaks.
 *
 * @param {readonly ChatLine[]} lines
 * @param {Timeline | null} timeline
 * @returns {PlacedLine[]} In the order of their time.
 */
export function placed(lines, timeline) {
  const started = timeline === null ? 0 : Date.parse(timeline.startedAt);
  const breaks = (timeline?.breaks ?? []).map(({ from, to }) => ({ from: Date.parse(from) - started, to: Date.parse(to) - started }));
  /** @param {number} offset */
  const stood = (offset) => breaks.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(offset, to) - from), 0);
  return lines.map((line) => ({ ...line, atMs: Math.max(0, line.offsetMs - stood(line.offsetMs)) })).sort((a, b) => a.atMs - b.atMs || a.seq - b.seq);
}

/** How many of the lines were written at a position. @param {readonly PlacedLine[]} lines @param {number} atMs */
export function writtenAt(lines, atMs) {
  let [low, high] = [0, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lines[middle]?.atMs ?? Infinity) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Rendition} rendition */
export const isBusy = ({ state }) => state === 'queued' || state === 'running';

/** What was ordered, in the place of what there was of the same name. @param {readonly Rendition[]} known @param {Rendition} ordered */
export const withRendition = (known, ordered) => [...known.filter(({ name }) => name !== ordered.name), ordered];

/** The address from which a file is saved under its name. @param {string} url */
export const savingUrl = (url) => `${url}${url.includes('?') ? '&' : '?'}download=1`;

/** The end of a day of a date field, in the zone of whoever chose it. @param {string} date As `2027-01-31`. @returns {string | null} */
export function endOfDay(date) {
  const end = new Date(`${date}T23:59:59`);
  return /^\d{4}-\d\d-\d\d$/.test(date) && !Number.isNaN(end.getTime()) ? end.toISOString() : null;
}

/** A moment as the value of a date field, in the zone of whoever reads it. @param {string | null} time */
export function dateOf(time) {
  const date = new Date(time ?? Number.NaN);
  if (Number.isNaN(date.getTime())) return '';
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

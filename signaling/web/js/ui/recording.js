/**
 * A recording: a player for each track, and everything together on one clock.
 *
 * Why one file per person: that is how it is written; the players are kept in step by their offsets.
 */

import { trackPath } from '../protocol/http.js';
import { dayAndClock, duration, size } from '../text/format.js';
import { en } from '../text/en.js';
import { brand, startLink } from './brand.js';
import { h, icon, setText } from './dom.js';

/** @import { RecordedTrack, RecordingDetails } from '../protocol/http.js' */

/** Players drift apart by their own clocks; more than this is put right. */
const DRIFT_MAX_S = 0.25;

/** @param {RecordingDetails} recording */
export function createRecording(recording) {
  document.title = en.recording.title;
  // A person's picture and sound stand beside each other.
  const tracks = [...(recording.tracks ?? [])].sort(
    (a, b) => a.displayName.localeCompare(b.displayName) || a.participantId.localeCompare(b.participantId) || a.kind.localeCompare(b.kind),
  );
  const players = tracks.map((track) => ({ track, media: playerFor(recording.id, track) }));
  const together = playTogether(players);
  const subject = recording.subject ?? '';
  const element = h(
    'div',
    { class: 'page' },
    brand(),
    h(
      'main',
      { class: 'recording', attrs: { id: 'main' } },
      h(
        'div',
        { class: 'recording-words' },
        h('h1', {}, subject === '' ? en.recording.heading : subject),
        recording.createdDateTime ? h('p', { class: 'lead' }, dayAndClock(recording.createdDateTime)) : null,
      ),
      stateNote(recording),
      tracks.length === 0 ? h('p', { class: 'panel-empty' }, en.recording.empty) : together.button,
      h('ul', { class: 'tracks' }, ...players.map(({ track, media }) => trackRow(recording.id, track, media))),
      startLink(en.recording.toStart),
    ),
  );
  return { element, dispose: together.dispose };
}

/** @param {RecordingDetails} recording */
function stateNote({ complete, state }) {
  if (state === 'failed') return h('p', { class: 'callout' }, en.recording.failed);
  return complete === false ? h('p', { class: 'callout' }, en.recording.incomplete) : null;
}

/** @param {RecordedTrack} track */
const isPicture = ({ kind }) => kind === 'camera' || kind === 'screen';
/** @param {RecordedTrack} track */
const whatOf = ({ kind }) => en.recording.kinds[kind];

/** @param {string} id @param {RecordedTrack} track @returns {HTMLMediaElement} */
function playerFor(id, track) {
  const attrs = { src: trackPath(id, track.number), controls: true, preload: 'metadata', 'aria-label': `${track.displayName}, ${whatOf(track)}` };
  return isPicture(track) ? h('video', { attrs: { ...attrs, playsinline: true } }) : h('audio', { attrs });
}

/** @param {string} id @param {RecordedTrack} track @param {HTMLMediaElement} media */
function trackRow(id, track, media) {
  const facts = [duration(track.durationMs), track.offsetMs > 999 ? en.recording.startsAt(duration(track.offsetMs)) : '', size(track.size)];
  return h(
    'li',
    { class: `track ${isPicture(track) ? 'is-picture' : ''}`, data: { track: String(track.number) } },
    h('div', { class: 'track-words' }, h('h2', {}, `${track.displayName} – ${whatOf(track)}`), h('p', { class: 'hint' }, facts.filter(Boolean).join(' · '))),
    media,
    h(
      'a',
      {
        class: 'button',
        attrs: { href: trackPath(id, track.number), download: `${track.displayName}-${track.kind}.webm`, 'aria-label': en.recording.downloadLabel(track.displayName, whatOf(track)) },
      },
      icon('download'),
      en.recording.download,
    ),
  );
}

/** @param {{ track: RecordedTrack, media: HTMLMediaElement }[]} players */
function playTogether(players) {
  let startedAt = 0;
  let position = 0;
  /** @type {ReturnType<typeof setInterval> | null} */
  let running = null;
  const label = h('span', {}, en.recording.playAll);
  const button = h('button', { class: 'button primary', attrs: { type: 'button' }, on: { click: () => (running === null ? play() : pause()) } }, icon('play'), label);
  const end = players.reduce((latest, { track }) => Math.max(latest, track.offsetMs + track.durationMs), 0) / 1000;

  const step = () => {
    const now = position + (performance.now() - startedAt) / 1000;
    for (const { track, media } of players) {
      const at = now - track.offsetMs / 1000;
      if (at < 0 || at > track.durationMs / 1000) continue;
      if (media.paused && !media.ended) void media.play().catch(() => {});
      if (Math.abs(media.currentTime - at) > DRIFT_MAX_S) media.currentTime = at;
    }
    if (now > end) {
      pause();
      position = 0;
    }
  };
  const play = () => {
    startedAt = performance.now();
    running = setInterval(step, 200);
    setText(label, en.recording.pauseAll);
    step();
  };
  const pause = () => {
    if (running === null) return;
    clearInterval(running);
    running = null;
    position += (performance.now() - startedAt) / 1000;
    for (const { media } of players) media.pause();
    setText(label, en.recording.playAll);
  };
  return { button, dispose: pause };
}

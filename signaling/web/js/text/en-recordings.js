/**
 * What the pages of recordings say, in English.
 */

import { plural } from './format.js';

/** @import { PublicationKind } from '../protocol/messages.js' */
/** @import { Phase } from '../state/recording.js' */

export const recordings = {
  heading: 'Recordings',
  title: 'Recordings – Plenum',
  lead: 'What you may watch, newest first.',
  none: 'No recordings yet. Those of your meetings, and of meetings that you were in, stand here.',
  deletedHeading: 'Deleted recordings',
  deletedLead: 'You can bring these back until they are removed for good.',
  noneDeleted: 'Nothing was deleted that you could bring back.',
  showDeleted: 'Deleted recordings',
  showAll: 'All recordings',
  more: 'Show more recordings',
  /** @param {string} name */
  restoreOf: (name) => `Restore: ${name}`,
  restore: 'Restore',
  untitled: 'Meeting',
  loading: 'Loading the recording…',
  toStart: 'To the start page',
  /** @param {string} subject */
  titleOf: (subject) => `${subject} – Recording – Plenum`,
  /** @param {string} name */
  by: (name) => `recorded by ${name}`,
  /** @param {number} n */
  part: (n) => `part ${n}`,
  /** @param {string} when */
  expires: (when) => `until ${when}`,
  states: { recording: 'Being recorded', ready: '', failed: 'Ended early' },
  shared: 'Shared by a link',

  /** @type {Record<Phase, (soFar: string) => string>} */
  notes: {
    live: (soFar) => `It is still being recorded; ${soFar} so far.`,
    storing: (soFar) => `It is over and still being stored; all ${soFar} can be played already. Who spoke when follows in a moment.`,
    complete: () => '',
    failed: (soFar) => `It ended early by a fault. Everything up to that moment is here: ${soFar}.`,
  },
  loadMore: 'Load what came since',
  nowComplete: 'The recording is complete now.',
  loadWhole: 'Load the whole recording',
  nothingYet: 'Nothing is written yet. It appears here by itself.',
  nothing: 'Nobody sent sound or picture while it ran.',
  undecodable: 'This browser cannot decode the recording. Another browser may; the files below can be saved and played by other programs.',
  interrupted: 'The recording could not be loaded to its end. Check your network, then press Try again.',

  refused: {
    signIn: { heading: 'Sign in to see this recording', text: 'Sign in with the organiser’s link first, or ask for a link to the recording. A shared link that was turned off opens nothing any more.' },
    notYours: { heading: 'This recording is not open to you', text: 'It is for those who organise its meeting, and for those of the organisation who were in it. Ask them for its link.' },
    unknown: { heading: 'There is no such recording', text: 'The link may be incomplete, or the recording belongs to a meeting that you do not know of.' },
    deleted: { heading: 'This recording was deleted', text: 'Those who may delete it can bring it back for some time.' },
    expired: { heading: 'This recording has expired', text: 'Its time was over, and it was deleted by itself. Those who may delete it can bring it back for some time.' },
    other: { heading: 'The recording could not be loaded', text: '' },
  },

  player: {
    label: 'Player',
    play: 'Play',
    pause: 'Pause',
    seek: 'Position',
    speed: 'Speed',
    mute: 'Mute',
    unmute: 'Sound on',
    volume: 'Volume',
    fullScreen: 'Full screen',
    leaveFullScreen: 'Leave full screen',
    download: 'Download',
    keys: 'Keyboard shortcuts',
    /** @param {string} at @param {string} of */
    place: (at, of) => `${at} of ${of}`,
    /** @param {number} n */
    times: (n) => `${n}×`,
    /** @type {[string, string][]} */
    shortcuts: [
      ['Space, K', 'Play or pause'],
      ['← and →', '5 seconds back or on'],
      ['J and L', '10 seconds back or on'],
      ['↑ and ↓', 'Louder or softer'],
      ['< and >', 'Slower or faster'],
      ['M', 'Sound off or on'],
      ['F', 'Full screen'],
    ],
  },

  lanes: {
    heading: 'Who spoke when',
    /** @param {string} name @param {string} total @param {number} turns */
    next: (name, total, turns) => `${name} spoke ${plural(turns, { one: 'once', other: '# times' })}, ${total} in all: to the next time`,
    causes: { paused: 'Paused', diskFull: 'Interrupted: the disk was full' },
    /** @param {string} cause @param {string} at @param {string} length */
    gap: (cause, at, length) => `${cause} at ${at}, for ${length}.`,
    nobody: 'Nobody was heard speaking.',
  },

  chat: {
    heading: 'Chat',
    log: 'Messages of the chat',
    none: 'Nothing was written while it ran.',
    notYet: 'Messages appear here at the time when they were written.',
    showAll: 'Show all',
    follow: 'Show as it plays',
    toNewest: 'To the newest message',
    /** @param {string} at */
    seek: (at) => `Play from ${at}`,
  },

  files: {
    whole: 'The whole recording',
    chat: 'The chat, as subtitles',
    tracks: 'Each person',
    /** @type {Record<PublicationKind, string>} */
    kinds: { microphone: 'sound', camera: 'picture', screen: 'screen', screenAudio: 'sound of the screen' },
    /** @param {string} name @param {string} what */
    track: (name, what) => `${name}: ${what}`,
    /** @param {string} what @param {number} n */
    several: (what, n) => `${what}, part ${n}`,
  },

  make: {
    heading: 'Other files',
    text: 'Made of the stored recording in the background. They stand in the download menu when they are ready.',
    wav: 'Sound as WAV',
    makeWav: 'Make a WAV file',
    layout: 'Layout of the grid',
    layouts: { tiles: 'Everybody in tiles', speaker: 'Whoever speaks large' },
    grids: { tiles: 'Grid of tiles', speaker: 'Grid with the speaker large' },
    makeGrid: 'Make a grid video',
    queued: 'Waits for its turn…',
    /** @param {number} percent */
    running: (percent) => `${percent} % done`,
    ready: 'Ready',
    /** @param {string} reason */
    failed: (reason) => `It could not be made: ${reason}`,
    save: 'Download',
  },

  share: {
    heading: 'Share by a link',
    off: 'Only those see it who may.',
    on: 'Whoever has the link sees it, without an account. The link was shown once; a new one ends the one before.',
    made: 'Whoever has this link sees the recording, without an account. Copy it now: it is shown once.',
    turnOn: 'Make a link',
    renew: 'Make a new link',
    turnOff: 'Turn the link off',
    link: 'Link to the recording',
    copy: 'Copy the link',
    copied: 'Copied',
  },

  expiry: {
    heading: 'How long it is kept',
    never: 'It is kept until somebody deletes it.',
    /** @param {string} when */
    until: (when) => `It is deleted by itself on ${when}.`,
    date: 'Delete it after',
    save: 'Save the date',
    keep: 'Keep it for good',
    invalid: 'Choose a day that is still to come.',
    saved: 'Saved.',
  },

  remove: {
    button: 'Delete the recording',
    heading: 'Delete this recording?',
    text: 'Nobody can watch it any more, also not by its link. You can bring it back for some time.',
    confirm: 'Delete',
  },
};

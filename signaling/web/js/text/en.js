/**
 * Every word that the page says, in English.
 *
 * Rules: plain and short, in the person's terms; what happened, why, what to do. Another language is another file of
 * the same shape.
 */

import { health } from './en-health.js';
import { consent, lobby, options, reactions, roles } from './en-order.js';
import { phones } from './en-phone.js';
import { plural } from './format.js';

/** @import { DeviceProblem } from '../state/meeting.js' */
/** @import { CaptureKind, RecordingTrouble } from '../protocol/messages.js' */

/** @type {Record<DeviceProblem, (device: string) => string>} */
const DEVICE_PROBLEMS = {
  denied: (device) => `Your browser has no access to the ${device}. Allow it in the address bar, then press Try again.`,
  missing: (device) => `This computer shows your browser no ${device}. Connect it, then press Try again.`,
  busy: (device) => `Another program is using the ${device}. Close it there, then press Try again.`,
  insecure: (device) => `Your browser gives the ${device} to secure pages (https) only.`,
  failed: (device) => `The ${device} did not start. Check the cable, then press Try again.`,
};

/** @type {Record<string, string>} Refusals of the server by code, where we can say it better in place. */
const ERRORS = {
  unreachable: 'The server does not answer. Check your network; then try again.',
  bad_passcode: 'That number and passcode do not fit together. Check both with whoever invited you.',
  rate_limited: 'Too many attempts. Wait a minute, then try again.',
  server_busy: 'The server is at its capacity, so that the meetings on it keep their quality. Try again in a few minutes.',
};

export const en = {
  product: 'Plenum',
  close: 'Close panel',
  cancel: 'Cancel',
  tryAgain: 'Try again',
  loading: 'Loading…',
  dismiss: 'Dismiss',
  you: 'You',
  /** @param {string} code @param {string} message */
  error: (code, message) => ERRORS[code] ?? (message !== '' ? message : `Something went wrong (${code}). Try again in a moment.`),
  /** @param {readonly CaptureKind[]} kinds @param {DeviceProblem} problem */
  deviceProblem: (kinds, problem) => DEVICE_PROBLEMS[problem](kinds.join(problem === 'missing' ? ' or ' : ' and ')),

  start: {
    title: 'Plenum – meetings',
    heading: 'Talk with people, right away.',
    lead: 'Start a meeting and send its link. Guests need no account, only a browser.',
    guestLead: 'Were you invited? Paste the link or type the number that you were given.',
    subject: 'Subject (optional)',
    newMeeting: 'New meeting',
    creating: 'Creating…',
    joinHeading: 'Join with a link or number',
    linkOrNumber: 'Link or number',
    passcode: 'Passcode',
    passcodeHint: 'Only needed with a number.',
    join: 'Join',
    neither: 'That is neither a join link nor a meeting number. A link contains “/join/”; a number has digits only.',
    mine: 'My meetings',
    more: 'Show more meetings',
    none: 'No meetings yet. The first one is one click away.',
    untitled: 'Meeting',
    open: 'Open',
    chat: 'Chat',
    live: 'Live now',
    /** @param {number} n */
    present: (n) => plural(n, { one: '# person in it', other: '# people in it' }),
    /** @param {number} n */
    unread: (n) => plural(n, { one: '# unread message', other: '# unread messages' }),
    /** @param {string} number @param {string} passcode */
    number: (number, passcode) => `Number ${number}, passcode ${passcode}`,
    recordings: 'Recordings',
    noRecordings: 'Nothing was recorded in this meeting.',
    recordingOf: 'Recording',
    organiserHeading: 'Do you organise meetings?',
    organiserText:
      'Open the organiser’s link that the server printed when it started. It works once. Whoever runs the server gets a new one with this command:',
    organiserCommand: 'plenum link',
    keyRefused: 'This organiser’s link no longer works: each one is good for one use. Get a new one with “plenum link”.',
    failed: 'Your meetings could not be loaded.',
    /** @param {string} name */
    signedInAs: (name) => `Signed in as ${name}`,
  },

  preJoin: {
    title: 'Join the meeting – Plenum',
    untitled: 'Meeting',
    /** @param {string} name */
    organiser: (name) => `Organised by ${name}`,
    /** @param {number} n */
    present: (n) => plural(n, { one: '# person is already here', other: '# people are already here' }),
    nobody: 'Nobody is here yet',
    name: 'Your name',
    nameMissing: 'Type your name, so that the others know who you are.',
    join: 'Join',
    joining: 'Joining…',
    turnOn: 'Turn on camera and microphone',
    previewOff: 'Nobody sees or hears you yet.',
    cameraOff: 'Your camera is off.',
    microphone: 'Microphone',
    camera: 'Camera',
    speaker: 'Speaker',
    devices: 'Devices',
    level: 'Microphone level',
    preview: 'Your picture',
    /** @param {number} n */
    device: (n) => `Device ${n}`,
    insecure:
      'This page came over plain http, and browsers give camera and microphone to secure pages (https) only. You can join to listen and chat, or open the secure page:',
    listen: 'You can also join without it and turn it on later.',
    notFoundHeading: 'There is no such meeting',
    notFoundText: 'The link may be incomplete, or the meeting was deleted. Ask for a new link.',
    toStart: 'To the start page',
    loading: 'Looking for the meeting…',
  },

  meeting: {
    /** @param {string} subject */
    title: (subject) => `${subject === '' ? 'Meeting' : subject} – Plenum`,
    untitled: 'Meeting',
    stage: 'People in the meeting',
    controls: 'Meeting controls',
    mute: 'Mute',
    unmute: 'Unmute',
    cameraOff: 'Camera off',
    cameraOn: 'Camera on',
    chat: 'Chat',
    people: 'People',
    record: 'Record',
    stopRecording: 'Stop recording',
    pauseRecording: 'Pause recording',
    resumeRecording: 'Resume recording',
    leave: 'Leave',
    share: 'Share screen',
    stopSharing: 'Stop sharing',
    stop: 'Stop',
    youShare: 'You are sharing your screen.',
    shareEnded: 'You may not share any more, so your share has ended.',
    hardMuted: 'That is switched off for attendees in this meeting. Raise your hand to be given the word.',
    raiseHand: 'Raise hand',
    lowerHand: 'Lower hand',
    handTag: 'Hand raised',
    react: 'React',
    signs: 'Reactions',
    locked: 'Locked',
    /** @param {string} name */
    raised: (name) => `${name} raised their hand.`,
    shareFailed: 'Your browser could not share that. Try again, or share another window.',
    /** @param {string} name */
    shareTaken: (name) => `${name === '' ? 'Somebody else' : name} is sharing now, so your share has ended.`,
    /** @param {string} name */
    sharing: (name) => `${name} is sharing their screen.`,
    /** @param {string} name */
    sharesNoMore: (name) => `${name} stopped sharing.`,
    /** @param {string} name */
    spotlit: (name) => `${name} is in the spotlight.`,
    youAreSpotlit: 'You are in the spotlight: everybody sees you large.',
    leaveSpotlight: 'Leave it',
    spotlitTag: 'In the spotlight',
    /** @param {string} name */
    screenOf: (name) => `Screen of ${name}`,
    turnOnSound: 'Turn on sound',
    soundBlocked: 'Your browser plays sound only after a click.',
    recording: 'This meeting is being recorded.',
    recordingPaused: 'Recording is paused.',
    /** @type {Record<RecordingTrouble, (since: string) => string>} `since` is empty or `troubleSince`. */
    recordingTrouble: {
      diskFull: (since) => `The server’s disk is full${since}. Nothing is recorded until there is space again; it then goes on by itself. The meeting goes on.`,
      storeUnavailable: (since) => `Recordings cannot be stored at the moment${since}. Nothing is lost: this one is kept on the server and stored later.`,
    },
    /** @param {string} time */
    troubleSince: (time) => ` (since ${time})`,
    joining: 'Joining…',
    /** @param {number} n */
    connectionGone: (n) => `The connection is gone. Coming back… (${n})`,
    mediaGone: 'Sound and picture are interrupted. Coming back…',
    mutedTag: 'Muted',
    reconnectingTag: 'Coming back…',
    pager: {
      label: 'Pages',
      previous: 'Previous page',
      next: 'Next page',
      /** @param {number} page @param {number} pages */
      place: (page, pages) => `${page} / ${pages}`,
      /** @param {number} page @param {number} pages */
      said: (page, pages) => `Page ${page} of ${pages}`,
      /** @param {string} name */
      speaks: (name) => `${name} is speaking`,
    },
    view: {
      label: 'View',
      grid: { name: 'Grid', hint: 'A few people at a time' },
      gallery: { name: 'Gallery', hint: 'As many as fit, up to 49 a page' },
      speaker: { name: 'Speaker', hint: 'Whoever speaks is large' },
      lowBandwidth: { name: 'Low bandwidth', hint: 'Fewer and smaller pictures, all voices as one' },
    },
    /** @param {string} name */
    pin: (name) => `Pin ${name}`,
    /** @param {string} name */
    unpin: (name) => `Unpin ${name}`,
    pinnedTag: 'Pinned by you',
    selfView: 'Your picture. Arrow keys move it to another corner.',
    aloneHeading: 'You are the only one here',
    aloneText: 'Send the link to whoever should come. It opens in any browser.',
    copyLink: 'Copy the link',
    linkCopied: 'The join link is copied. Paste it into a message.',
    linkDialog: 'Join link',
    linkDialogText: 'Your browser does not let pages copy. Select the link and copy it.',
    done: 'Done',
    /** @param {string} name */
    mutedBy: (name) => `${name === '' ? 'Somebody' : name} muted you. Press Unmute to speak again.`,
    refused: 'That did not work. Try again in a moment.',
    busy: 'The server is at its capacity, so that others keep their quality. You can chat; sound and picture are tried again by themselves.',
    /** @param {string} reason */
    recordingFailed: (reason) => `The recording ended early: ${reason}. What was recorded until then is kept.`,
    /** @param {string} name */
    joined: (name) => `${name} joined.`,
    /** @param {string} name */
    left: (name) => `${name} left.`,
    /** @param {string} name @param {string} text */
    said: (name, text) => `${name}: ${text}`,
    /** @param {string} name @param {string} shortcut */
    tooltip: (name, shortcut) => `${name} (${shortcut})`,
  },

  chat: {
    heading: 'Chat',
    log: 'Messages',
    message: 'Message',
    placeholder: 'Write to everybody',
    send: 'Send',
    empty: 'No messages yet. What is written here stays with the meeting.',
    earlier: 'Show earlier messages',
    waiting: 'Waiting for the connection…',
    sending: 'Sending…',
    failed: 'Not sent.',
    /** @param {number} n */
    unread: (n) => plural(n, { one: '# unread message', other: '# unread messages' }),
    /** @param {number} max */
    tooLong: (max) => `A message has at most ${max} characters.`,
    started: 'The meeting began.',
    ended: 'The meeting ended.',
    /** @param {string} name */
    joined: (name) => `${name} joined`,
    /** @param {string} name */
    left: (name) => `${name} left`,
    recordingStarted: 'Recording started.',
    /** @param {number} part */
    recordingContinued: (part) => `The recording goes on, as part ${part}.`,
    recordingPaused: 'Recording paused.',
    recordingResumed: 'Recording resumed.',
    recordingInterrupted: {
      diskFull: 'Recording interrupted: the server’s disk is full.',
      serverRestarted: 'Recording interrupted: the server was restarted.',
    },
    recordingReady: 'The recording is ready.',
    openRecording: 'Open the recording',
    /** @param {string} reason */
    recordingFailed: (reason) => `The recording ended early: ${reason}.`,
  },

  people: {
    heading: 'People',
    /** @param {number} n */
    count: (n) => plural(n, { one: '# person', other: '# people' }),
    copyJoinLink: 'Copy join link',
    invitation: phones.invitation,
    /** @param {string} name */
    you: (name) => `${name} (you)`,
    organiser: 'Organiser',
    recorder: 'Recorder',
    phone: 'On the phone',
    roles,
    unverified: 'Guest',
    muteAll: 'Mute all',
    lock: 'Lock the meeting',
    lockShort: 'Lock',
    held: 'Guests wait in the lobby since somebody was removed. You can change that in the meeting options.',
    /** @param {string} name */
    roleOf: (name) => `Role of ${name}`,
    /** @param {string} name */
    lowerHand: (name) => `Lower the hand of ${name}`,
    shares: 'Sharing their screen',
    comingBack: 'Coming back…',
    microphoneOn: 'Microphone on',
    microphoneOff: 'Microphone off',
    cameraOn: 'Camera on',
    cameraOff: 'Camera off',
    /** @param {string} name */
    spotlight: (name) => `Show ${name} large to everybody`,
    /** @param {string} name */
    endSpotlight: (name) => `End the spotlight on ${name}`,
    /** @param {string} name */
    mute: (name) => `Mute ${name}`,
    /** @param {string} name */
    remove: (name) => `Remove ${name}`,
    /** @param {string} name */
    removeHeading: (name) => `Remove ${name} from the meeting?`,
    removeText: 'They are out at once and cannot come back with the place that they hold now.',
    removeConfirm: 'Remove',
  },

  consent,
  health,
  lobby,
  options,
  reactions,

  shortcuts: {
    heading: 'Keyboard shortcuts',
    /** @type {[string, string][]} */
    list: [
      ['Ctrl + Shift + M', 'Microphone on or off'],
      ['Ctrl + Shift + O', 'Camera on or off'],
      ['Ctrl + Shift + E', 'Share your screen, or stop'],
      ['Ctrl + Shift + K', 'Raise or lower your hand'],
      ['Space, held down', 'Talk while muted'],
      ['Page Up, Page Down', 'Previous or next page of people'],
      ['Arrow keys on a tile’s pin', 'Move to the next tile'],
      ['?', 'Show this list'],
      ['Esc', 'Close a panel or dialog'],
    ],
  },

  ended: {
    left: { heading: 'You left', text: 'The meeting goes on without you.' },
    removed: { heading: 'You were removed', text: 'The organiser removed you from this meeting.' },
    denied: { heading: 'You were not let in', text: 'Somebody in the meeting decided so. Ask whoever invited you.' },
    lobbyTimeout: { heading: 'Nobody let you in', text: 'You waited for half an hour. Ask whoever invited you, then try again.' },
    meetingEnded: { heading: 'The meeting has ended', text: 'Its chat and recordings stay with the organiser.' },
    replaced: {
      heading: 'You are here in another window',
      text: 'This place in the meeting was taken over by another window or tab.',
    },
    refused: {
      heading: 'Your place was given up',
      text: 'The server no longer knows the place that you held. You can join again.',
    },
    rejoin: 'Rejoin',
    useHere: 'Use it here',
    toStart: 'To the start page',
  },

  recording: {
    title: 'Recording – Plenum',
    heading: 'Recording',
    toStart: 'To the start page',
  },
};

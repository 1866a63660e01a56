/** Small builders for states of a meeting. */

import { INITIAL, reduce } from '../../js/state/meeting.js';

export const person = (id, more = {}) => ({
  id,
  displayName: id.toUpperCase(),
  kind: 'person',
  role: 'presenter',
  verified: false,
  microphoneMuted: false,
  cameraMuted: false,
  hasMicrophone: true,
  hasCamera: true,
  spotlit: false,
  connected: true,
  ...more,
});

export const camera = (id, participantId) => ({ id, participantId, kind: 'camera' });
export const slot = (mid, participantId = null, publicationId = null) => ({ mid, participantId, publicationId });
export const message = (seq, from = 'b', text = `m${seq}`) => ({
  seq,
  id: `evt_${seq}`,
  time: '2026-11-24T13:35:20.000Z',
  kind: 'message',
  from: { participantId: from, displayName: from.toUpperCase() },
  text,
  clientMessageId: `c-${seq}`,
});

export const welcome = (more = {}) => ({
  type: 'welcome',
  session: 'ses_1',
  self: 'me',
  role: 'presenter',
  may: ['microphone', 'camera', 'chat', 'raiseHand', 'react', 'share', 'spotlight'],
  options: { isLocked: false, areAnonymousHeld: false, allowAttendeeToEnableMic: true, allowAttendeeToEnableCamera: true },
  rosterSeq: 0,
  meeting: { id: 'mtg_1', subject: 'Standup', joinWebUrl: 'http://127.0.0.1/join/s', chatId: 'thr_1' },
  roster: [person('me'), person('b'), person('c')],
  publications: [camera(1, 'b'), camera(2, 'c')],
  slots: [],
  recording: { state: 'off', recordingId: null, trouble: null },
  phoneCalls: [],
  events: [],
  cursor: 0,
  serverTime: '2026-11-24T13:35:20.000Z',
  ...more,
});

export const after = (state, ...actions) => actions.reduce(reduce, state);
export const says = (message) => ({ type: 'server', message });
/** Welcomed, connected, with a transport of one audio and two video slots. */
export const joined = (more) =>
  after(
    INITIAL,
    { type: 'link', link: { phase: 'open', attempt: 0, transport: 'socket' } },
    says(welcome(more)),
    { type: 'offered', slots: [{ mid: '2', kind: 'audio' }, { mid: '5', kind: 'video' }, { mid: '6', kind: 'video' }] },
  );

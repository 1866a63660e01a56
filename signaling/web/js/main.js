/**
 * Wires the pages together: which one to show for an address, and how one leads to the next.
 *
 *   /   start      /join/{secret}   before joining -> meeting -> after
 *   /v1/recordings/{id}   a recording   /#/recordings   all of mine   /#/recordings/deleted   those that I may bring back
 *   /#/chats   all chats   /#/chats/{id}   one of them   /#/chats/{id}/{seq}   at a message
 */

import { standBy } from './app/browser.js';
import { Call } from './app/call.js';
import { exposeForTests } from './app/expose.js';
import {
  givePlaceUp,
  keepPlace,
  lendWanted,
  placeIn,
  rememberLook,
  rememberName,
  rememberSignedIn,
  rememberWanted,
  rememberedLook,
  rememberedName,
  rememberedSignedIn,
  rememberedWanted,
  secretOf,
  takeAnswer,
  wantedAnew,
} from './app/place.js';
import { permissionFor } from './media/devices.js';
import { VIDEO_SLOTS, VIDEO_SLOTS_ON_PHONES } from './media/transport.js';
import * as http from './protocol/http.js';
import { plainPage, startLink } from './ui/brand.js';
import { h } from './ui/dom.js';
import { createMeeting } from './ui/meeting.js';
import { createPreJoin } from './ui/prejoin.js';
import { explain } from './ui/problems.js';
import { createStart } from './ui/start.js';
import { createWaiting } from './ui/waiting.js';
import { chats as chatsText } from './text/en-chats.js';
import { en } from './text/en.js';

/** @import { JoinTarget } from './protocol/http.js' */
/** @import { Ending, MeetingState } from './state/meeting.js' */
/** @import { Place, Wanted } from './app/place.js' */
/** @import { JoinWish } from './ui/prejoin.js' */

/** @typedef {{ element: HTMLElement, dispose: () => void }} Screen_ */

const app = /** @type {HTMLElement} */ (document.getElementById('app'));
/** @type {Screen_ | null} */
let screen = null;
/** @type {Screen_ & { open: (id: string | null, seq: number | null) => void } | null} The same page for all its addresses. */
let chats = null;

/** @param {Screen_} next */
function show(next) {
  screen?.dispose();
  screen = next;
  const isFirst = !app.hasAttribute('data-started');
  app.setAttribute('data-started', '');
  app.replaceChildren(next.element);
  const main = app.querySelector('main');
  // Whoever works by keyboard or ear goes on where the new page begins.
  if (main && !isFirst && document.activeElement === document.body) {
    main.tabIndex = -1;
    main.focus({ preventScroll: true });
  }
}

/** @param {Parameters<typeof plainPage>[0]} content */
function showPlain(content) {
  document.title = `${content.heading} – ${en.product}`;
  show({ element: plainPage(content), dispose: () => {} });
}

/** @param {string} text @param {() => void} click */
const action = (text, click) => h('button', { class: 'button primary', attrs: { type: 'button' }, on: { click } }, text);

/** Nothing of whoever was signed in stays on the page. */
const startAnew = () => window.location.assign('/');

async function startPage() {
  let notice = '';
  const key = new URLSearchParams(window.location.hash.slice(1)).get('key');
  if (key !== null) {
    // The key works once; it must not stay in the address bar or the history.
    window.history.replaceState(null, '', '/');
    await http.openSession(key).catch((error) => {
      notice = error instanceof http.ApiError && error.status >= 400 && error.status < 500 ? en.start.keyRefused : explain(error);
    });
  }
  const me = await http.me().catch((error) => {
    notice ||= explain(error);
    return null;
  });
  rememberSignedIn(me !== null);
  const page = createStart({
    me,
    notice: me ? '' : notice,
    create: (subject) =>
      http.createMeeting({ subject }).then(
        ({ joinWebUrl }) => {
          window.location.assign(`/join/${encodeURIComponent(secretOf(joinWebUrl) ?? '')}`);
          return null;
        },
        explain,
      ),
    openLink: (secret) => window.location.assign(`/join/${encodeURIComponent(secret)}`),
    openNumber: (joinMeetingId, passcode) => preJoinPage({ joinMeetingId, passcode }, null),
    meetings: http.listMeetings,
    recordings: http.listRecordings,
    appointments: {
      create: http.createMeeting,
      change: http.changeMeeting,
      exchangeLink: http.resetJoinLink,
      attendance: { list: http.listAttendance, read: http.readAttendance },
      explain,
    },
    account: {
      invite: http.invite,
      deviceLink: http.deviceLink,
      signOut: () => http.signOut().then(startAnew),
      signOutEverywhere: () => http.signOutEverywhere().then(startAnew),
      explain,
    },
    unreadInChats: http.unreadInChats,
  });
  show(page);
  if (isCallable(me)) void listenForCalls(page, (notice) => page.element.prepend(notice));
}

/** Whoever has no number listens for no calls: the feed tells much else. @param {http.Me | null} me */
const isCallable = (me) => me !== null && me.phoneNumbers.length > 0;

/**
 * Somebody may call the number of whoever is signed in.
 *
 * @param {Screen_} page
 * @param {(notice: HTMLElement) => void} place
 * @param {import('./ui/ringing-page.js').Within} [within]
 */
async function listenForCalls(page, place, within) {
  const { openRingingAlone } = await import('./ui/ringing-page.js');
  // Somebody went on while this was loading.
  if (screen !== page) return;
  const calls = openRingingAlone(within);
  const { dispose } = page;
  place(calls.element);
  page.dispose = () => {
    calls.dispose();
    dispose();
  };
}

/**
 * Asks who comes and how, but for whoever answers a call: heard at once and not seen, as by a phone. Where the browser has yet to ask
 * for the microphone, or nobody knows the name, there is a page for that.
 *
 * @param {JoinTarget} target @param {string} secret
 */
async function joinPage(target, secret) {
  if (!takeAnswer(secret)) {
    preJoinPage(target, secret);
    return;
  }
  const wanted = { microphone: true, camera: false };
  lendWanted(wanted);
  const [microphone, me] = await Promise.all([permissionFor('microphone'), http.me().catch(() => null)]);
  const name = rememberedName() || me?.displayName;
  if (microphone !== 'granted' || !name) {
    preJoinPage(target, secret, undefined, wanted);
    return;
  }
  showPlain({ heading: en.preJoin.joining, text: '', actions: [] });
  enter(target, { name, wanted, tracks: {} }, undefined, (text) => preJoinPage(target, secret, text, wanted));
}

/**
 * @param {JoinTarget} target
 * @param {string | null} secret Null when all we have is a number.
 * @param {string} [problem] Why the last attempt to join failed.
 * @param {Wanted} [wanted]
 */
function preJoinPage(target, secret, problem, wanted = wantedAnew()) {
  const fallbackTitle = 'joinMeetingId' in target ? `${en.preJoin.untitled} ${target.joinMeetingId}` : en.preJoin.loading;
  const page = createPreJoin({
    name: rememberedName(),
    wanted,
    fallbackTitle,
    // A failed attempt has let go of the devices: begin again, with the reason.
    join: (wish) => enter(target, wish, ahead.socket, (text) => preJoinPage(target, secret, text)),
  });
  const ahead = standBy();
  show({
    element: page.element,
    dispose: () => {
      ahead.end();
      page.dispose();
    },
  });
  page.focus();
  if (problem !== undefined) page.refuse(problem);
  if (rememberedName() === '' && rememberedSignedIn()) {
    void http.me().then((me) => me && page.suggestName(me.displayName)).catch(() => {});
  }
  if (secret === null) return;
  http.lookAtMeeting(secret).then(page.describe, (error) => {
    if (error instanceof http.ApiError && error.status === 404) {
      showPlain({ heading: en.preJoin.notFoundHeading, text: en.preJoin.notFoundText, actions: [startLink(en.preJoin.toStart)] });
    } else {
      page.describe({ subject: '', organizer: '', participants: 0, isRecording: false });
      page.refuse(explain(error));
    }
  });
}

/**
 * Everything that joining needs starts at once: the request for a place, the offer, the devices. The socket is open.
 *
 * @param {JoinTarget} target
 * @param {JoinWish} wish
 * @param {import('./protocol/ahead.js').SocketAhead | undefined} ahead
 * @param {(text: string) => void} refuse
 */
function enter(target, { name, wanted, tracks }, ahead, refuse) {
  performance.mark('plenum:join-pressed');
  rememberName(name);
  rememberWanted(wanted);
  const place = http.join(target, name).then(({ token, participantId, iceServers, meeting }) => {
    /** @type {Place} */
    const taken = { secret: secretOf(meeting.joinWebUrl) ?? '', token, participantId, name, iceServers };
    keepPlace(taken);
    if (window.location.pathname !== `/join/${taken.secret}`) window.history.replaceState(null, '', `/join/${taken.secret}`);
    return taken;
  });
  const call = makeCall(place, wanted, tracks, ahead);
  place.then(
    () => meetingPage(call),
    (error) => refuse(explain(error)),
  );
}

/**
 * @param {Place | Promise<Place>} place
 * @param {Wanted} wanted
 * @param {JoinWish['tracks']} tracks
 * @param {import('./protocol/ahead.js').SocketAhead | undefined} [ahead]
 */
function makeCall(place, wanted, tracks, ahead) {
  const isPhone = window.matchMedia('(max-width: 640px), (pointer: coarse) and (max-height: 500px)').matches;
  const sound = /** @type {HTMLElement} */ (document.getElementById('sound'));
  const look = rememberedLook();
  const videoSlots = isPhone ? VIDEO_SLOTS_ON_PHONES : VIDEO_SLOTS;
  const call = new Call({ place, wanted, look, tracks, videoSlots, soundRoot: sound, ...(ahead && { ahead }) });
  exposeForTests(call);
  return call;
}

/** The meeting, or the lobby in front of it. @param {Call} call */
function meetingPage(call) {
  const waits = call.store.state.order.lobby !== null;
  const leave = () => void call.leave();
  const meeting = waits ? null : createMeeting(call, { leave });
  const page = meeting ?? createWaiting(call, { leave });
  let goesOn = false;
  /** Left for another meeting: its page comes at once. */
  let leavesFor = false;
  let listens = false;
  let look = rememberedLook();
  /** @type {MeetingState['wanted'] | null} */
  let remembered = null;
  const end = call.store.subscribe(({ ending, wanted, everOpen, view, pinned, lowBandwidth, order }) => {
    // Storage is slow, and the state changes with everybody who comes and goes.
    if (remembered !== wanted) rememberWanted((remembered = wanted));
    if (everOpen) void listen();
    if (look.view !== view || look.pinned !== pinned || look.lowBandwidth !== lowBandwidth) rememberLook((look = { view, pinned, lowBandwidth }));
    if (ending === null && (order.lobby !== null) === waits) return;
    end();
    if (ending === null) {
      goesOn = true;
      meetingPage(call);
      return;
    }
    if (ending !== 'replaced') givePlaceUp();
    if (leavesFor) return;
    // A place from yesterday that was never taken up again: simply ask for the name.
    if (ending === 'refused' && !everOpen) route();
    else endedPage(ending);
  });
  const shown = {
    element: page.element,
    dispose: () => {
      end();
      page.dispose();
      if (!goesOn && call.store.state.ending !== 'left') call.dispose();
    },
  };
  show(shown);
  if (waits || call.store.state.everOpen) void listen();

  /** Later than everything that the meeting needs. Guests have no number. */
  async function listen() {
    if (listens) return;
    listens = true;
    if (!rememberedSignedIn() || !isCallable(await http.me().catch(() => null))) return;
    await listenForCalls(shown, meeting?.tell ?? ((notice) => page.element.prepend(notice)), {
      isHere: (meetingId) => call.store.state.meeting?.id === meetingId,
      go: async (path) => {
        leavesFor = true;
        await call.leave();
        window.location.assign(path);
      },
    });
  }
}

/** @param {Ending} ending */
function endedPage(ending) {
  const { heading, text } = en.ended[ending];
  const again = ending === 'replaced' ? en.ended.useHere : en.ended.rejoin;
  showPlain({ heading, text, actions: [action(again, route), startLink(en.ended.toStart)] });
}

/** A recording, or the list of them. @param {string} id Empty: all of mine; `deleted`: those that I may bring back. */
async function recordingsPage(id) {
  const address = window.location.href;
  showPlain({ heading: en.recording.heading, text: en.loading, actions: [] });
  try {
    if (id !== '' && id !== 'deleted') {
      const { openRecording } = await import('./ui/recording-page.js');
      if (window.location.href === address) show(openRecording(id));
      return;
    }
    const [{ openList }, me] = await Promise.all([import('./ui/recordings-list.js'), http.me()]);
    if (window.location.href !== address) return;
    rememberSignedIn(me !== null);
    if (me === null) signedOutPage();
    else show(openList({ deleted: id === 'deleted' }));
  } catch (error) {
    showPlain({ heading: en.recording.heading, text: explain(error), actions: [action(en.tryAgain, route), startLink(en.recording.toStart)] });
  }
}

/** @param {string | null} id @param {number | null} seq */
async function chatsPage(id, seq) {
  if (chats !== null && screen === chats) {
    chats.open(id, seq);
    return;
  }
  const address = window.location.hash;
  try {
    const [{ openChats }, me] = await Promise.all([import('./ui/chats-page.js'), http.me()]);
    // Somebody went on while this was loading.
    if (window.location.hash !== address) return;
    rememberSignedIn(me !== null);
    if (me === null) {
      signedOutPage();
      return;
    }
    const page = openChats({ me, signedOut: signedOutPage });
    chats = page;
    show(page);
    page.open(id, seq);
  } catch (error) {
    showPlain({ heading: chatsText.heading, text: explain(error), actions: [action(en.tryAgain, route), startLink(en.recording.toStart)] });
  }
}

function signedOutPage() {
  showPlain({ heading: chatsText.signedOutHeading, text: chatsText.signedOutText, actions: [startLink(en.recording.toStart)] });
}

function route() {
  const { pathname, hash } = window.location;
  // The link in a chat is the API's own address, which shows this page to browsers.
  const [, first, second, third] = (hash.startsWith('#/') ? hash.slice(1) : pathname.replace(/^\/v1(?=\/recordings\/)/, '')).split('/');
  const id = second === undefined ? '' : decodeURIComponent(second);
  if (first === 'join' && id !== '') {
    const place = placeIn(id);
    if (place) meetingPage(makeCall(place, rememberedWanted(), {}));
    else void joinPage({ joinWebUrl: `${window.location.origin}/join/${encodeURIComponent(id)}` }, id);
  } else if (first === 'recordings') {
    void recordingsPage(id);
  } else if (first === 'chats') {
    void chatsPage(id === '' ? null : id, third === undefined || !/^\d+$/.test(third) ? null : Number(third));
  } else {
    void startPage();
  }
}

window.addEventListener('hashchange', () => {
  // On other pages a hash means nothing, and must not tear anybody out of a meeting.
  if (window.location.pathname === '/') route();
});
// A reloaded page goes straight into its meeting, and a media element that waits for its first sound or picture holds the
// `load` event back: with an empty slot for ever, and the browser shows a page that never ends to load.
if (document.readyState === 'complete') route();
else window.addEventListener('load', route, { once: true });

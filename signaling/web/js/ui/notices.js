/**
 * What the page has to say at the moment: the state of the connection, refusals, and what happened to oneself.
 *
 * Why two places: the banner tells of something that lasts and goes away by itself; notices are read and dismissed.
 */

import { isSharing, selfOf } from '../state/select.js';
import { phones } from '../text/en-phone.js';
import { en } from '../text/en.js';
import { clock } from '../text/format.js';
import { h, icon, keyed, setHidden, setText } from './dom.js';

/** @import { MeetingState, Notice, Announcement } from '../state/meeting.js' */
/** @import { CaptureKind, Recording } from '../protocol/messages.js' */

/** Problems stay until dismissed; good news goes by itself. */
const GOOD_NEWS_MS = 5_000;

/** @param {Notice} notice @returns {string} */
function wordsOf(notice) {
  switch (notice.code) {
    case 'shareTaken':
      return en.meeting.shareTaken(notice.name);
    case 'shareEnded':
      return en.meeting.shareEnded;
    case 'hardMuted':
      return en.meeting.hardMuted;
    case 'shareFailed':
      return en.meeting.shareFailed;
    case 'mutedBy':
      return en.meeting.mutedBy(notice.name);
    case 'device':
      return en.deviceProblem(notice.kinds, notice.problem);
    case 'refused':
      return notice.message === '' ? en.meeting.refused : notice.message;
    case 'busy':
      return en.meeting.busy;
    case 'linkCopied':
      return en.meeting.linkCopied;
    case 'recordingFailed':
      return en.meeting.recordingFailed(notice.reason);
  }
}

/** What goes wrong with the recording, and since when. @param {Recording} recording @returns {string} Empty: nothing. */
export function troubleWords({ trouble, troubleSince }) {
  if (trouble === null) return '';
  const since = clock(troubleSince ?? '');
  return en.meeting.recordingTrouble[trouble](since === '' ? '' : en.meeting.troubleSince(since));
}

/** @param {Announcement['content']} content */
function spoken(content) {
  switch (content.code) {
    case 'joined':
      return en.meeting.joined(content.name);
    case 'left':
      return en.meeting.left(content.name);
    case 'shares':
      return en.meeting.sharing(content.name);
    case 'sharesNoMore':
      return en.meeting.sharesNoMore(content.name);
    case 'spotlit':
      return en.meeting.spotlit(content.name);
    case 'raised':
      return en.meeting.raised(content.name);
    case 'waits':
      return en.lobby.waits(content.name);
    case 'phoneCalled':
      return phones.called(content.call.name);
    case 'phoneEnded':
      return phones.ended(content.call.name, phones.status(content.call));
    case 'message':
      return en.meeting.said(content.name, content.text);
  }
}

/**
 * @param {object} context
 * @param {(id: number) => void} context.dismiss
 * @param {(kinds: readonly CaptureKind[]) => void} context.retryDevices
 * @param {() => void} context.turnOnSound
 * @param {() => void} context.showVideo
 * @param {() => void} context.stopSharing
 * @param {() => void} context.leaveSpotlight
 */
export function createNotices({ dismiss, retryDevices, turnOnSound, showVideo, stopSharing, leaveSpotlight }) {
  const bannerText = h('span', {});
  const banner = h('p', { class: 'banner', attrs: { role: 'status' } }, h('span', { class: 'spinner', attrs: { 'aria-hidden': 'true' } }), bannerText);
  const sound = h(
    'div',
    { class: 'notice' },
    h('p', {}, en.meeting.soundBlocked),
    h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: turnOnSound } }, icon('sound'), en.meeting.turnOnSound),
  );
  const sharing = h(
    'div',
    { class: 'notice notice-sharing', attrs: { role: 'status' } },
    icon('screen'),
    h('p', {}, en.meeting.youShare),
    h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: stopSharing } }, en.meeting.stop),
  );
  const spotlit = h(
    'div',
    { class: 'notice notice-sharing', attrs: { role: 'status' } },
    icon('spotlight'),
    h('p', {}, en.meeting.youAreSpotlit),
    h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: leaveSpotlight } }, en.meeting.leaveSpotlight),
  );
  const audioOnlyText = h('p', { attrs: { role: 'status' } });
  const showVideoText = h('span', {});
  const audioOnly = h(
    'div',
    { class: 'notice', data: { code: 'audioOnly' } },
    audioOnlyText,
    h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: showVideo } }, icon('camera'), showVideoText),
  );
  const troubleText = h('p', {});
  const trouble = h('div', { class: 'notice', data: { code: 'recordingTrouble' }, attrs: { role: 'status' } }, icon('record'), troubleText);
  const list = h('ul', { class: 'notice-list' });
  const live = h('p', { class: 'visually-hidden', attrs: { 'aria-live': 'polite' } });
  const element = h('div', { class: 'notices' }, banner, trouble, sharing, spotlit, sound, audioOnly, h('div', { attrs: { role: 'status' } }, list), live);
  /** @type {Map<string, HTMLElement>} */
  const elements = new Map();
  let announced = 0;
  let mediaWasUp = false;

  /** @param {MeetingState} state @returns {string} */
  const bannerWords = (state) => {
    if (state.link.phase !== 'open') {
      if (!state.everOpen && state.link.attempt === 0) return en.meeting.joining;
      return en.meeting.connectionGone(Math.max(1, state.link.attempt));
    }
    return mediaWasUp && state.media !== 'connected' ? en.meeting.mediaGone : '';
  };

  /** @param {Notice} notice */
  const create = (notice) => {
    if (notice.code === 'linkCopied') setTimeout(() => dismiss(notice.id), GOOD_NEWS_MS);
    const again =
      notice.code === 'device' && notice.problem !== 'insecure'
        ? h(
            'button',
            {
              class: 'button small',
              attrs: { type: 'button' },
              on: {
                click: () => {
                  dismiss(notice.id);
                  retryDevices(notice.kinds);
                },
              },
            },
            en.tryAgain,
          )
        : null;
    const close = h('button', { class: 'button icon-only quiet', attrs: { type: 'button', 'aria-label': en.dismiss }, on: { click: () => dismiss(notice.id) } }, icon('close'));
    return h('li', { class: 'notice', data: { code: notice.code } }, h('p', {}, wordsOf(notice)), again, close);
  };

  return {
    element,
    /** @param {MeetingState} state */
    update(state) {
      mediaWasUp ||= state.media === 'connected';
      const words = bannerWords(state);
      setText(bannerText, words);
      setHidden(banner, words === '');
      const wrong = troubleWords(state.recording);
      setHidden(trouble, wrong === '');
      setText(troubleText, wrong);
      setHidden(sharing, !isSharing(state));
      setHidden(spotlit, selfOf(state)?.spotlit !== true);
      setHidden(sound, !state.soundBlocked);
      const { why } = state.audioOnly;
      setHidden(audioOnly, why === null);
      setText(audioOnlyText, why === null ? '' : en.health.audioOnly[why]);
      setText(showVideoText, why === 'person' ? en.health.showVideo : en.health.showVideoAnyway);
      keyed(list, elements, state.notices, ({ id }) => String(id), create);
      const { announcement } = state;
      if (announcement && announcement.id !== announced) {
        announced = announcement.id;
        setText(live, spoken(announcement.content));
      }
    },
  };
}

/**
 * The own picture: small, mirrored, in a corner that the person chooses.
 */

import { SPEECH_LEVEL, meter } from '../media/levels.js';
import { worse } from '../state/health.js';
import { isOwnMuted, selfOf } from '../state/select.js';
import { en } from '../text/en.js';
import { createBars } from './bars.js';
import { h, icon, setAttr, setHidden } from './dom.js';
import { markOf, paintFace, putIn } from './tile.js';

/** @import { MeetingState } from '../state/meeting.js' */
/** @import { Box } from '../state/layout.js' */
/** @import { CaptureKind } from '../protocol/messages.js' */

/** @type {Record<string, (corner: string) => string>} */
const MOVES = {
  ArrowLeft: (corner) => corner.replace('right', 'left'),
  ArrowRight: (corner) => corner.replace('left', 'right'),
  ArrowUp: (corner) => corner.replace('bottom', 'top'),
  ArrowDown: (corner) => corner.replace('top', 'bottom'),
};

/** @param {{ track: (kind: CaptureKind) => MediaStreamTrack | null }} context */
export function createSelfView({ track }) {
  const video = h('video', { attrs: { autoplay: true, playsinline: true, tabindex: '-1', 'data-self-video': '' } });
  video.muted = true;
  const face = h('span', { class: 'face', attrs: { 'aria-hidden': 'true' } });
  const cover = h('div', { class: 'tile-cover' }, face);
  const muted = h('span', { class: 'tile-muted' }, icon('mic-off'), h('span', { class: 'visually-hidden' }, en.meeting.mutedTag));
  const network = createBars(en.health.ownMark);
  const element = h(
    'div',
    {
      class: 'self-view',
      data: { corner: 'bottom-right', self: '' },
      attrs: { role: 'group', tabindex: '0', 'aria-label': en.meeting.selfView },
      on: {
        keydown: (/** @type {KeyboardEvent} */ event) => {
          const move = MOVES[event.key];
          if (!move) return;
          event.preventDefault();
          element.dataset.corner = move(element.dataset.corner ?? 'bottom-right');
        },
      },
    },
    video,
    cover,
    h('div', { class: 'tile-label' }, muted, h('span', { class: 'tile-name' }, en.you), network.element),
    h('div', { class: 'tile-ring' }),
  );
  /** @type {MediaStreamTrack | null} */
  let camera = null;
  /** @type {MediaStreamTrack | null} */
  let microphone = null;
  let endMeter = () => {};
  let spokeAt = 0;

  /** @param {number} level */
  const hear = (level) => {
    const now = performance.now();
    if (level > SPEECH_LEVEL) spokeAt = now;
    setAttr(element, 'data-speaking', String(now - spokeAt < 300 && spokeAt > 0));
  };

  return {
    element,
    /** @param {Box | null} box Its place among the tiles of a crowded stage, or none. */
    place(box) {
      element.classList.toggle('in-grid', box !== null);
      if (box) putIn(box, element);
    },
    /** @param {MeetingState} state */
    update(state) {
      const name = selfOf(state)?.displayName ?? '';
      setAttr(element, 'data-name', name);
      paintFace(face, name);
      if (camera !== track('camera')) {
        camera = track('camera');
        video.srcObject = camera === null ? null : new MediaStream([camera]);
      }
      setHidden(cover, camera !== null && !isOwnMuted(state, 'camera'));
      setHidden(muted, !isOwnMuted(state, 'microphone'));
      // What comes and what goes: the worse of both is what the person feels.
      network.set(markOf(worse(state.health.down.grade, selfOf(state)?.network)));
      if (microphone !== track('microphone')) {
        microphone = track('microphone');
        endMeter();
        endMeter = microphone === null ? () => {} : meter(microphone, hear);
      }
    },
    dispose() {
      endMeter();
      video.srcObject = null;
    },
  };
}

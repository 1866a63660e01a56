/**
 * The own picture before joining: preview, level meter, device menus.
 *
 * Why nothing starts by itself: a camera that lights up unasked is a broken promise. Only where the browser has
 * already been told "yes" does the preview begin at once.
 */

import { byProblem, capture } from '../media/capture.js';
import { canChooseSpeaker, chooseDevice, chosenDevices, hasDevices, listDevices, permissionFor, watchDevices } from '../media/devices.js';
import { meter, wakeMeters } from '../media/levels.js';
import { en } from '../text/en.js';
import { h, icon, setHidden, setText } from './dom.js';

/** @import { CaptureKind } from '../protocol/messages.js' */
/** @import { DeviceKind, DeviceList } from '../media/devices.js' */
/** @import { Wanted } from '../app/place.js' */

const KINDS = /** @type {const} */ (['microphone', 'camera']);

/** @param {DeviceKind} kind @param {(id: string) => void} chosen */
function deviceMenu(kind, chosen) {
  const id = `device-${kind}`;
  const select = h('select', { class: 'input', attrs: { id }, on: { change: () => chosen(select.value) } });
  const element = h('div', { class: 'field' }, h('label', { attrs: { for: id } }, en.preJoin[kind]), select);
  element.hidden = true;
  return {
    element,
    /** @param {DeviceList} list @param {string | undefined} current */
    fill(list, current) {
      const known = list[kind].filter(({ label }) => label !== '');
      element.hidden = known.length === 0;
      select.replaceChildren(
        ...known.map((device, index) =>
          h('option', { attrs: { value: device.id, selected: device.id === current } }, device.label || en.preJoin.device(index + 1)),
        ),
      );
    },
  };
}

/** @param {CaptureKind} kind @param {boolean} on @param {(on: boolean) => void} changed */
function deviceSwitch(kind, on, changed) {
  const input = h('input', { attrs: { type: 'checkbox', role: 'switch', checked: on }, on: { change: () => changed(input.checked) } });
  input.checked = on;
  const element = h('label', { class: 'switch' }, input, h('span', { class: 'switch-track', attrs: { 'aria-hidden': 'true' } }), icon(kind === 'microphone' ? 'mic' : 'camera'), en.preJoin[kind]);
  return { element, set: (/** @type {boolean} */ value) => void (input.checked = value) };
}

/** @param {Wanted} wanted What was chosen last time. */
export function createPreview(wanted) {
  /** @type {Partial<Record<CaptureKind, MediaStreamTrack>>} */
  let tracks = {};
  const wants = { ...wanted };
  let endMeter = () => {};
  let over = false;
  const video = h('video', { attrs: { autoplay: true, playsinline: true, tabindex: '-1' } });
  video.muted = true;
  const offText = h('p', {}, en.preJoin.previewOff);
  const turnOn = h('button', { class: 'button on-stage', attrs: { type: 'button' }, on: { click: () => void start(KINDS) } }, icon('camera'), en.preJoin.turnOn);
  const cover = h('div', { class: 'preview-cover' }, offText, turnOn);
  const bar = h('span', { class: 'meter-bar' });
  const levels = h('div', { class: 'meter', attrs: { role: 'img', 'aria-label': en.preJoin.level } }, icon('mic'), h('span', { class: 'meter-track' }, bar));
  const problems = h('div', { class: 'preview-problems', attrs: { role: 'status' } });
  const switches = {
    microphone: deviceSwitch('microphone', wants.microphone, (on) => void flip('microphone', on)),
    camera: deviceSwitch('camera', wants.camera, (on) => void flip('camera', on)),
  };
  const menus = {
    microphone: deviceMenu('microphone', (id) => void choose('microphone', id)),
    camera: deviceMenu('camera', (id) => void choose('camera', id)),
    speaker: deviceMenu('speaker', (id) => chooseDevice('speaker', id)),
  };
  // On a phone the name and the button matter more than menus that are rarely touched.
  const choice = h(
    'details',
    { class: 'preview-devices', attrs: { open: window.matchMedia('(min-width: 801px)').matches } },
    h('summary', {}, en.preJoin.devices),
    h('div', { class: 'preview-menus' }, menus.microphone.element, menus.camera.element, menus.speaker.element),
  );
  choice.hidden = true;
  const element = h(
    'section',
    { class: 'preview', attrs: { 'aria-label': en.preJoin.preview } },
    h('div', { class: 'preview-picture' }, video, cover, levels),
    h('div', { class: 'preview-switches' }, switches.microphone.element, switches.camera.element),
    problems,
    choice,
  );

  const paint = () => {
    const { camera, microphone } = tracks;
    if ((video.srcObject === null) === (camera !== undefined)) video.srcObject = camera ? new MediaStream([camera]) : null;
    setHidden(cover, camera !== undefined);
    setHidden(levels, microphone === undefined);
    setHidden(turnOn, camera !== undefined || microphone !== undefined || !hasDevices());
    setText(offText, microphone || camera || !hasDevices() ? en.preJoin.cameraOff : en.preJoin.previewOff);
  };

  /** @param {readonly CaptureKind[]} kinds */
  const start = async (kinds) => {
    wakeMeters();
    turnOn.disabled = true;
    const got = await capture(kinds);
    turnOn.disabled = false;
    if (over) {
      for (const track of Object.values(got.tracks)) track.stop();
      return;
    }
    for (const kind of kinds) {
      tracks[kind]?.stop();
      delete tracks[kind];
      wants[kind] = got.tracks[kind] !== undefined;
      switches[kind].set(wants[kind]);
    }
    tracks = { ...tracks, ...got.tracks };
    if (kinds.includes('microphone')) listen();
    showProblems(got.problems, kinds);
    paint();
    await fillMenus();
  };

  const listen = () => {
    endMeter();
    const { microphone } = tracks;
    endMeter = microphone ? meter(microphone, (level) => bar.style.setProperty('--level', String(Math.min(1, level * 5)))) : () => {};
  };

  /** @param {Awaited<ReturnType<typeof capture>>['problems']} found @param {readonly CaptureKind[]} asked */
  const showProblems = (found, asked) => {
    const lines = byProblem(found).map(([problem, kinds]) => en.deviceProblem(kinds, problem));
    problems.replaceChildren();
    if (lines.length === 0) return;
    const again = h('button', { class: 'button small', attrs: { type: 'button' }, on: { click: () => void start(asked.filter((kind) => found[kind])) } }, en.tryAgain);
    problems.append(h('div', { class: 'callout' }, ...lines.map((line) => h('p', {}, line)), h('p', { class: 'hint' }, en.preJoin.listen), again));
  };

  /** @param {CaptureKind} kind @param {boolean} on */
  const flip = async (kind, on) => {
    wants[kind] = on;
    if (on) {
      await start([kind]);
      return;
    }
    tracks[kind]?.stop();
    delete tracks[kind];
    if (kind === 'microphone') listen();
    paint();
  };

  /** @param {CaptureKind} kind @param {string} id */
  const choose = async (kind, id) => {
    chooseDevice(kind, id);
    if (tracks[kind]) await start([kind]);
  };

  const fillMenus = async () => {
    const list = await listDevices();
    const chosen = chosenDevices();
    for (const kind of KINDS) menus[kind].fill(list, tracks[kind]?.getSettings().deviceId ?? chosen[kind]);
    if (canChooseSpeaker()) menus.speaker.fill(list, chosen.speaker);
    setHidden(choice, Object.values(menus).every(({ element: menu }) => menu.hidden));
  };

  const startAllowed = async () => {
    const allowed = await Promise.all(KINDS.map(async (kind) => wants[kind] && (await permissionFor(kind)) === 'granted'));
    const kinds = KINDS.filter((_, index) => allowed[index]);
    if (kinds.length > 0 && !over && Object.keys(tracks).length === 0) await start(kinds);
  };

  const endWatch = watchDevices(() => void fillMenus());
  if (!hasDevices()) element.querySelector('.preview-switches')?.remove();
  paint();
  void startAllowed();
  return {
    element,
    wanted: () => ({ ...wants }),
    /** Hands the tracks to whoever joins now; the preview lets go of them. */
    handOver() {
      over = true;
      endMeter();
      endWatch();
      const given = tracks;
      tracks = {};
      return given;
    },
    dispose() {
      if (over) return;
      over = true;
      endMeter();
      endWatch();
      for (const track of Object.values(tracks)) track.stop();
    },
  };
}

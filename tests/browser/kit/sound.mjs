/**
 * Telling sounds apart by their tone: what a phone heard, and prompts that are tones of their own.
 *
 * A server is given prompts that are short tones instead of words, so that a test reads which of them was played, in what order,
 * as exactly as it reads a word, and in a tenth of the time.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a telephone carries. */
export const PHONE_RATE = 8_000;
/** Long enough for one window to lie wholly in it, whatever the telephone's packets do. */
const PROMPT_SECONDS = 0.3;
const PROMPT_AMPLITUDE = 0.3;
/** What is quieter is a pause. */
const PAUSE_DB = -45;
/** Windows of half the length of a prompt's shortest certain part; neighbours in pitch are 6 of its bins apart. */
const WINDOW = 800;

/** The prompts that callers hear, as the files of src/sip/prompts/en are called, each at its pitch: above all voices of the kit. */
const PROMPT_NAMES = [
  'welcome', 'conference-id', 'wrong-id', 'organizer-pin', 'wrong-pin', 'too-many-tries', 'unavailable', 'lobby', 'hold', 'joined', 'not-let-in',
  'removed', 'ended', 'invited', 'muted', 'unmuted', 'hand-raised', 'hand-lowered', 'recorded', 'consent', 'help', 'goodbye',
  'voicemail', 'beep', 'message-saved',
];
const PROMPTS = new Map(PROMPT_NAMES.map((name, n) => [name, 1_610 + 60 * n]));

/**
 * The amplitude of one tone in samples of -1 to 1, by Goertzel: that of a sine of this pitch, whatever else sounds.
 * @param {ArrayLike<number>} samples @param {number} tone in Hz @param {number} rate
 */
export function amplitude(samples, tone, rate = PHONE_RATE) {
  const factor = 2 * Math.cos((2 * Math.PI * tone) / rate);
  let [one, two] = [0, 0];
  for (let n = 0; n < samples.length; n += 1) [one, two] = [samples[n] + factor * one - two, one];
  return (2 * Math.sqrt(Math.max(0, one * one + two * two - factor * one * two))) / samples.length;
}

/** The root of the mean square. @param {ArrayLike<number>} samples */
export function rms(samples) {
  let sum = 0;
  for (let n = 0; n < samples.length; n += 1) sum += samples[n] * samples[n];
  return Math.sqrt(sum / Math.max(1, samples.length));
}

/** The amplitudes of a tone over 10 ms each: of a voice that comes and goes. @returns {{level: number}[]} */
export function levels(samples, tone, rate = PHONE_RATE) {
  const step = rate / 100;
  return Array.from({ length: Math.floor(samples.length / step) }, (_, n) => ({ level: amplitude(samples.subarray(n * step, (n + 1) * step), tone, rate) }));
}

/** The mean of them: the root of the mean square. @param {{level: number}[]} all */
export const loudness = (all) => Math.sqrt(all.reduce((sum, { level }) => sum + level * level, 0) / all.length);

/** How loud speech is, pauses apart: the mean of 20 ms each that are no pause, in dBFS. @param {Float32Array} samples */
export function speechDb(samples, rate = PHONE_RATE) {
  const step = rate / 50;
  const all = Array.from({ length: Math.floor(samples.length / step) }, (_, n) => decibels(Math.max(1e-6, rms(samples.subarray(n * step, (n + 1) * step))), 1));
  const speech = all.filter((level) => level >= PAUSE_DB);
  return speech.reduce((sum, level) => sum + level, 0) / Math.max(1, speech.length);
}

/** How much of the sound is this tone, however it comes and goes, 0 to 1; 0 in silence. */
export function share(samples, tone, rate = PHONE_RATE) {
  const whole = rms(samples);
  return whole < 0.003 ? 0 : Math.min(1, loudness(levels(samples, tone, rate)) ** 2 / (2 * whole * whole));
}

/** How much louder in dB. @param {number} one @param {number} than */
export const decibels = (one, than) => 20 * Math.log10(one / than);

/**
 * Which prompts are in a sound, in order; one that goes on counts once.
 * @param {ArrayLike<number>} samples of a telephone
 * @returns {string[]}
 */
export function promptsIn(samples) {
  const said = [];
  let last;
  for (let from = 0; from + WINDOW <= samples.length; from += WINDOW / 4) {
    const window = samples.slice(from, from + WINDOW);
    const found = PROMPT_NAMES.find((name) => amplitude(window, PROMPTS.get(name)) > PROMPT_AMPLITUDE * 0.6);
    if (found && found !== last) said.push(found);
    last = found;
  }
  return said;
}

/** Writes the prompts of a language into a folder. @returns {string} the folder, for `phone.prompts` */
export function writePrompts(folder, language = 'en') {
  mkdirSync(join(folder, language), { recursive: true });
  for (const [name, tone] of PROMPTS) {
    const loudnessAt = (second) => PROMPT_AMPLITUDE * Math.min(1, second / 0.005, (PROMPT_SECONDS - second) / 0.005);
    writeFileSync(join(folder, language, `${name}.wav`), phoneWav(tone, PROMPT_SECONDS, loudnessAt));
  }
  return folder;
}

/** A tone as a file of 8 kHz. @param {(second: number) => number} loudnessAt */
function phoneWav(tone, seconds, loudnessAt) {
  const samples = Math.round(PHONE_RATE * seconds);
  const file = Buffer.alloc(44 + samples * 2);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples * 2, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(PHONE_RATE, 24);
  file.writeUInt32LE(PHONE_RATE * 2, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples * 2, 40);
  for (let n = 0; n < samples; n += 1) {
    const second = n / PHONE_RATE;
    file.writeInt16LE(Math.round(32_767 * loudnessAt(second) * Math.sin(2 * Math.PI * tone * second)), 44 + n * 2);
  }
  return file;
}

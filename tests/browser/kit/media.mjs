/**
 * Fake cameras and microphones: the files that Chromium plays as a person's devices.
 *
 * A camera file is raw Y4M (no encoder needed): the code of paint.mjs in the top and bottom rows, and between them a
 * person-like figure over noise, so that a key frame is several packets and a lost one matters. A microphone file is a WAV
 * with one tone a person, wobbling at the pace of syllables, because a browser's noise suppression removes steady tones.
 * Files are made once, into target/browser-media, and shared by all tests.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync, openSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { mediaDir } from './env.mjs';
import { codeBits, COLUMNS, FPS, HEIGHT, LOOP, ROWS, WIDTH } from './paint.mjs';
import { random } from './random.mjs';

/** Tone of person n in Hz: no two, and no harmonic of one and another, within 40 Hz. */
export const TONES = [400, 560, 740, 940, 1170, 1430];

/** Bump when the files' content changes, so that old files are not used again. */
const VERSION = 5;
const SAMPLE_RATE = 48_000;
const WAV_SECONDS = 10;

/**
 * @param {number} person 0..5
 * @param {{ words?: boolean }} [voice] a tone in words and pauses, as a gate for speech lets through; without, it never stops
 * @returns {{camera: string, microphone: string, tone: number, person: number}} files of that person
 */
export function devicesOf(person, { words = false } = {}) {
  mkdirSync(mediaDir, { recursive: true });
  const camera = join(mediaDir, `camera-${person}-v${VERSION}.y4m`);
  const microphone = join(mediaDir, `${words ? 'words' : 'microphone'}-${person}-v${VERSION}.wav`);
  if (!existsSync(camera)) writeWhole(camera, (file) => writeCamera(file, person));
  if (!existsSync(microphone)) writeWhole(microphone, (file) => writeFileSync(file, wav(TONES[person], words ? inWords : wobbling)));
  return { camera, microphone, tone: TONES[person], person };
}

/** A half-written file must never look finished to the next run. */
function writeWhole(path, write) {
  const part = `${path}.${process.pid}.part`;
  write(part);
  renameSync(part, path);
}

function writeCamera(path, person) {
  const file = openSync(path, 'w');
  writeSync(file, `YUV4MPEG2 W${WIDTH} H${HEIGHT} F${FPS}:1 Ip A1:1 C420jpeg\n`);
  const painter = new Painter(person);
  for (let counter = 0; counter < LOOP; counter += 1) {
    writeSync(file, 'FRAME\n');
    writeSync(file, painter.frame(counter));
  }
  closeSync(file);
}

/** Paints one person's frames, planar YUV 4:2:0. */
export class Painter {
  #person;
  #noise;
  #random;
  #picture = Buffer.alloc((WIDTH * HEIGHT * 3) / 2);

  constructor(person) {
    this.#person = person;
    this.#random = random(1000 + person);
    this.#noise = Buffer.alloc(1 << 16);
    for (let i = 0; i < this.#noise.length; i += 1) this.#noise[i] = 96 + Math.floor(this.#random() * 24);
  }

  /** The picture of frame `counter`; valid until the next call. */
  frame(counter) {
    const luma = this.#picture.subarray(0, WIDTH * HEIGHT);
    this.#background(luma);
    this.#figure(luma, counter);
    this.#code(luma, counter);
    this.#colour();
    return this.#picture;
  }

  #background(luma) {
    for (let y = 0; y < HEIGHT; y += 1) {
      const from = Math.floor(this.#random() * (this.#noise.length - WIDTH));
      this.#noise.copy(luma, y * WIDTH, from, from + WIDTH);
    }
  }

  /** Head and shoulders, swaying once a loop. */
  #figure(luma, counter) {
    const centre = WIDTH / 2 + 60 * Math.sin((2 * Math.PI * counter) / LOOP);
    for (let y = 60; y < HEIGHT - 40; y += 1) {
      for (let x = Math.max(0, Math.floor(centre - 150)); x < Math.min(WIDTH, centre + 150); x += 1) {
        const head = ((x - centre) / 55) ** 2 + ((y - 130) / 65) ** 2 < 1;
        const shoulders = ((x - centre) / 140) ** 2 + ((y - 330) / 120) ** 2 < 1;
        if (head) luma[y * WIDTH + x] = 205;
        else if (shoulders) luma[y * WIDTH + x] = 60;
      }
    }
  }

  #code(luma, counter) {
    const bits = codeBits(this.#person, counter);
    const cellWidth = WIDTH / COLUMNS;
    const cellHeight = HEIGHT / ROWS;
    for (const [row, flip] of [[0, 0], [ROWS - 1, 1]]) {
      for (let column = 0; column < COLUMNS; column += 1) {
        const value = bits[column] ^ flip ? 235 : 16;
        for (let y = row * cellHeight; y < (row + 1) * cellHeight; y += 1) {
          luma.fill(value, y * WIDTH + column * cellWidth, y * WIDTH + (column + 1) * cellWidth);
        }
      }
    }
  }

  /** One hue a person, grey under the code so that the squares stay black and white. */
  #colour() {
    const angle = (2 * Math.PI * this.#person) / TONES.length + 0.6;
    const chroma = [128 + 45 * Math.cos(angle), 128 + 45 * Math.sin(angle)];
    const size = (WIDTH * HEIGHT) / 4;
    const strip = ((HEIGHT / ROWS) * WIDTH) / 4;
    chroma.forEach((value, plane) => {
      const start = WIDTH * HEIGHT + plane * size;
      this.#picture.fill(Math.round(value), start, start + size);
      this.#picture.fill(128, start, start + strip);
      this.#picture.fill(128, start + size - strip, start + size);
    });
  }
}

/** How loud a tone is, second by second of a file. @param {number} second */
const wobbling = (second) => 0.35 * (0.65 + 0.35 * Math.sin(2 * Math.PI * 4 * second));
/** Words of two thirds of a second, and as long as half a word between them. @param {number} second */
const inWords = (second) => 0.5 * Math.max(0, Math.sin(2 * Math.PI * second) + 0.5) / 1.5;

/** A tone of whole periods, so that the loop has no click. */
export function wav(tone, loudnessAt = wobbling) {
  const samples = SAMPLE_RATE * WAV_SECONDS;
  const file = Buffer.alloc(44 + samples * 2);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples * 2, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(SAMPLE_RATE, 24);
  file.writeUInt32LE(SAMPLE_RATE * 2, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples * 2, 40);
  for (let n = 0; n < samples; n += 1) {
    const second = n / SAMPLE_RATE;
    file.writeInt16LE(Math.round(32_767 * loudnessAt(second) * Math.sin(2 * Math.PI * tone * second)), 44 + n * 2);
  }
  return file;
}

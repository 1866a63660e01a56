/**
 * Reading a recording's tracks back with ffmpeg: what a person would see and hear, not what the file says of itself.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { TONES } from './media.mjs';
import { HEIGHT, readCode, WIDTH } from './paint.mjs';

const run = promisify(execFile);
const LIMITS = { maxBuffer: 1 << 30, timeout: 60_000 };
const SAMPLE_RATE = 48_000;

/** ffprobe's view; throws when ffprobe finds anything wrong. */
export async function probe(file) {
  const { stdout, stderr } = await run('ffprobe', ['-v', 'warning', '-show_streams', '-show_format', '-of', 'json', file], LIMITS);
  if (stderr.trim()) throw new Error(`ffprobe ${file}: ${stderr}`);
  return JSON.parse(stdout);
}

/** The times of a file's frames in seconds, in the order of the file. */
export async function times(file) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file], LIMITS);
  return stdout.trim().split('\n').map(Number);
}

/** The times of the pictures of a file that holds sound too, in seconds. */
export async function videoTimes(file) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file], LIMITS);
  return stdout.trim().split('\n').map(Number);
}

/** The codes in the pictures of a video file, in order; null for a picture that cannot be read. Picture by picture: ten minutes are gigabytes. */
export async function pictures(file) {
  // The file's own time base: in that of a guessed frame rate, two frames of a browser may fall on one tick.
  const wanted = ['-vf', `scale=${WIDTH}:${HEIGHT}`, '-fps_mode', 'passthrough', '-enc_time_base', '-1', '-f', 'rawvideo', '-pix_fmt', 'gray', '-'];
  const decoder = spawn('ffmpeg', ['-v', 'error', '-i', file, ...wanted], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  decoder.stderr.on('data', (text) => (errors += text));
  const ended = once(decoder, 'close');
  const picture = Buffer.alloc(WIDTH * HEIGHT);
  let filled = 0;
  const codes = [];
  for await (const bytes of decoder.stdout) {
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(picture, filled, at);
      [at, filled] = [at + copied, filled + copied];
      if (filled < picture.length) continue;
      codes.push(readCode((x, y) => picture[y * WIDTH + x], WIDTH, HEIGHT));
      filled = 0;
    }
  }
  const [code] = await ended;
  if (code !== 0) throw new Error(`ffmpeg ${file} ended with ${code}: ${errors}`);
  return { codes, errors };
}

/** The last picture of a video file, as PNG. */
export async function lastPicture(file) {
  const all = ['-v', 'error', '-i', file, '-fps_mode', 'passthrough', '-enc_time_base', '-1', '-update', '1'];
  const { stdout } = await run('ffmpeg', [...all, '-f', 'image2pipe', '-c:v', 'png', '-'], { ...LIMITS, encoding: 'buffer' });
  return stdout.subarray(stdout.lastIndexOf(PNG));
}

/** What a PNG begins with. */
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** For each person: the share of 100 ms windows in which their tone stands out. */
export async function tones(file) {
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-f', 'f32le', '-ac', '1', '-ar', String(SAMPLE_RATE), '-'], {
    ...LIMITS,
    encoding: 'buffer',
  });
  const samples = new Float32Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + (stdout.length & ~3)));
  const window = SAMPLE_RATE / 10;
  const windows = Math.floor(samples.length / window);
  const shares = TONES.map((tone) => {
    let heard = 0;
    for (let n = 0; n < windows; n += 1) if (strength(samples.subarray(n * window, (n + 1) * window), tone) > 0.3) heard += 1;
    return windows ? heard / windows : 0;
  });
  return { shares, seconds: samples.length / SAMPLE_RATE };
}

/** How much of the energy lies at one frequency, 0..1 (Goertzel); 0 in silence. */
export function strength(samples, tone) {
  const factor = 2 * Math.cos((2 * Math.PI * tone) / SAMPLE_RATE);
  let [one, two, energy] = [0, 0, 0];
  for (const sample of samples) {
    [one, two] = [sample + factor * one - two, one];
    energy += sample * sample;
  }
  if (energy / samples.length < 1e-5) return 0;
  return (2 * (one * one + two * two - factor * one * two)) / (samples.length * energy);
}

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { dataDir } from './env.mjs';
import { devicesOf } from './media.mjs';
import { pictures, probe, strength, tones } from './recorded.mjs';

test('a fake camera and microphone, encoded as a recorder would, read back', { timeout: 60_000 }, async () => {
  mkdirSync(dataDir, { recursive: true });
  const { camera, microphone } = devicesOf(1);
  const file = join(dataDir, `recorded-${process.pid}.webm`);
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-t', '2', '-i', camera, '-t', '2', '-i', microphone, '-c:v', 'libvpx', '-b:v', '800k', '-deadline', 'realtime', '-c:a', 'libopus', file]);
  try {
    const { streams } = await probe(file);
    assert.deepEqual(streams.map(({ codec_name: name }) => name).sort(), ['opus', 'vp8']);
    const { codes } = await pictures(file);
    assert.ok(codes.length >= 28 && codes.every((code) => code?.person === 1));
    assert.ok(codes.every(({ counter }, n) => n === 0 || counter === codes[n - 1].counter + 1));
    const { shares, seconds } = await tones(file);
    assert.ok(seconds > 1.9 && shares[1] > 0.8, `tone of person 1 in ${shares[1]} of the windows`);
    assert.ok(shares.every((share, person) => person === 1 || share === 0));
  } finally {
    rmSync(file, { force: true });
  }
});

test('strength is one for the tone itself, and nothing for another or for silence', () => {
  const sine = Float32Array.from({ length: 4800 }, (_, n) => Math.sin((2 * Math.PI * 400 * n) / 48_000));
  assert.ok(strength(sine, 400) > 0.95);
  assert.ok(strength(sine, 560) < 0.05);
  assert.equal(strength(new Float32Array(4800), 400), 0);
});

/** The ears for telephones, on sounds that are known. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { amplitude, decibels, levels, loudness, promptsIn, share, speechDb, writePrompts } from './sound.mjs';

/** @param {number} seconds @param {[number, number][]} tones each a pitch and an amplitude */
const sound = (seconds, ...tones) => Float32Array.from({ length: 8_000 * seconds }, (_, n) => tones.reduce((sum, [tone, loud]) => sum + loud * Math.sin((2 * Math.PI * tone * n) / 8_000), 0));

test('a tone is as loud as it is, whatever else sounds', () => {
  const both = sound(1, [740, 0.2], [400, 0.4]);
  assert.ok(Math.abs(amplitude(both, 740) - 0.2) < 0.005);
  assert.ok(Math.abs(share(both, 740) - 0.2) < 0.03, `${share(both, 740)}`);
  assert.ok(amplitude(both, 940) < 0.001);
  assert.equal(share(sound(1, [740, 0.001]), 740), 0, 'silence has no tone');
});

test('loudness is that of speech, pauses apart', () => {
  const words = Float32Array.from([...sound(1, [500, 0.5]), ...sound(1)]);
  assert.ok(Math.abs(speechDb(words) - decibels(0.5 / Math.SQRT2, 1)) < 0.2, `${speechDb(words)}`);
  assert.ok(Math.abs(loudness(levels(words, 500)) - 0.5 / Math.SQRT2) < 0.01);
});

test('prompts are read in order, over voices, and one that goes on is one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'plenum-prompts-'));
  writePrompts(folder);
  const samples = (name) => {
    const bytes = readFileSync(join(folder, 'en', `${name}.wav`));
    return Array.from({ length: (bytes.length - 44) / 2 }, (_, n) => bytes.readInt16LE(44 + 2 * n) / 32_768);
  };
  const said = ['welcome', 'muted', 'unmuted', 'goodbye', 'goodbye', 'hold'].flatMap(samples);
  const voice = sound(said.length / 8_000, [740, 0.3], [1_430, 0.15]);
  assert.deepEqual(promptsIn(Float32Array.from(said, (sample, n) => sample + voice[n])), ['welcome', 'muted', 'unmuted', 'goodbye', 'hold']);
  assert.deepEqual(promptsIn(voice), []);
  rmSync(folder, { recursive: true, force: true });
});

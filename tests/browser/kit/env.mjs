/** Where things are, and what a caller may override by environment. */
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');

/** The server under test. */
export const plenum = process.env.PLENUM_BIN ?? join(target, 'debug/plenum');
/** Load clients, for those who pass by. */
export const loadtest = process.env.PLENUM_LOADTEST_BIN ?? join(target, 'debug/plenum-loadtest');
export const chromium = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const firefox = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
/** The long forms of the tests (50 slot switches instead of 12, ...). */
export const full = process.env.PLENUM_FULL === '1';
/** Seed of every random choice; printed by what uses it. */
export const seed = Number(process.env.PLENUM_SEED ?? 20261124);

export const mediaDir = join(target, 'browser-media');
export const shotsDir = join(target, 'browser-shots');
export const dataDir = join(target, 'browser-data');
export const goldenDir = join(root, 'signaling/protocol/golden');

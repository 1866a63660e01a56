/** Reads the protocol's golden files, which the server's tests read as well. */

import { readFileSync, readdirSync } from 'node:fs';

const FOLDER = new URL('../../../protocol/golden/', import.meta.url);

/** @returns {Map<string, object>} By name, such as `server.welcome`. */
export function goldens(side) {
  return new Map(
    readdirSync(FOLDER)
      .filter((name) => name.startsWith(`${side}.`) && name.endsWith('.json'))
      .map((name) => [name.replace(/\.json$/, ''), JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'))]),
  );
}

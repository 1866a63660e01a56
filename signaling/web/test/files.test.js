/** The page's files fit together: what is named exists, what exists is named. */

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const ROOT = new URL('../', import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), 'utf8');
const all = (folder) => readdirSync(new URL(folder, ROOT), { recursive: true }).map((name) => `${folder}/${name}`);
const page = read('index.html');
const modules = all('js').filter((path) => path.endsWith('.js'));

/** Modules that `start` brings with it. @param {RegExp} pattern How they are named in its source. */
function brought(start, pattern, found = new Set([start])) {
  for (const [, relative] of read(start).matchAll(pattern)) {
    const path = new URL(relative, new URL(start, ROOT)).pathname.slice(ROOT.pathname.length);
    if (found.has(path)) continue;
    found.add(path);
    brought(path, pattern, found);
  }
  return found;
}

test('every module that a page needs at once is preloaded, and nothing else', () => {
  const preloaded = [...page.matchAll(/modulepreload" href="\/assets\/([^"]+)"/g)].map(([, path]) => path);
  assert.deepEqual([...preloaded, 'js/main.js'].sort(), [...brought('js/main.js', /^(?:import|export) [^;']*'(\.[^']+)';$/gm)].sort());
});

test('every module is used by some page', () => {
  assert.deepEqual([...modules].sort(), [...brought('js/main.js', /(?:^(?:import|export) [^;']*|\bimport\()'(\.[^']+)'/gm)].sort());
});

test('every style sheet is linked', () => {
  const linked = [...page.matchAll(/stylesheet" href="\/assets\/([^"]+)"/g)].map(([, path]) => path);
  assert.deepEqual(linked.sort(), all('css').sort());
});

test('the page has no inline script, no inline style and no foreign host', () => {
  assert.doesNotMatch(page, /<style|style=|\son[a-z]+=|<script(?![^>]*\ssrc=)/);
  for (const path of [...modules, ...all('css'), 'index.html', 'icons.svg', 'favicon.svg']) {
    const hosts = [...read(path).matchAll(/["'(](?:https?:)?\/\/([a-z0-9.-]+)/gi)].map(([, host]) => host);
    assert.deepEqual(hosts.filter((host) => host !== 'www.w3.org'), [], path);
  }
});

test('every icon that is used is drawn, and every drawn one is used', () => {
  const drawn = [...read('icons.svg').matchAll(/<symbol id="([^"]+)"/g)].map(([, id]) => id);
  const code = modules.map(read).join('\n');
  for (const id of drawn) assert.match(code, new RegExp(`'${id}'`), id);
  for (const [, id] of code.matchAll(/\bicon\('([^']+)'\)/g)) assert.ok(drawn.includes(id), id);
});

test('every class of a face colour exists', () => {
  const css = read('css/base.css');
  for (let hue = 0; hue < 10; hue += 1) assert.match(css, new RegExp(`data-hue="${hue}"`));
});

test('every module says what it is, and none is a giant', () => {
  for (const path of modules) {
    const source = read(path);
    assert.match(source, /^\/\*\*\n \* \S/, path);
    assert.ok(source.split('\n').length <= 400, path);
  }
});

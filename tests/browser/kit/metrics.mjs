/**
 * What the server counts, read as an operator's Prometheus would: the text of `/metrics`.
 *
 * The engine publishes its counters once a second and one by one: a test waits for the figure that it expects, or for
 * two readings alike.
 */
import assert from 'node:assert/strict';

/** Lengths of trains that the server tells apart; none is longer. */
const TRAIN_MAX = 16;

/** @returns {Promise<string>} the page of a running server */
async function scrape(server) {
  const response = await fetch(`${server.url}/metrics`);
  assert.equal(response.status, 200, 'metrics are readable from this machine');
  return response.text();
}

/**
 * @param {string} page
 * @param {string} name
 * @returns {{labels: Record<string, string>, value: number}[]} every series of that name
 */
export function series(page, name) {
  return page.split('\n').flatMap((line) => {
    const [, own, labels, value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (own !== name) return [];
    const pairs = [...(labels ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text]);
    return [{ labels: Object.fromEntries(pairs), value: Number(value) }];
  });
}

/** A counter's value over all its labels, or those with some of them; what was never counted is not on the page. */
export async function counted(server, name, some = {}) {
  const fits = ({ labels }) => Object.entries(some).every(([key, value]) => labels[key] === value);
  return series(await scrape(server), name).filter(fits).reduce((sum, { value }) => sum + value, 0);
}

/** How many trains of each length left so far, the singles first. @param {'voice' | 'picture'} kind */
export async function trainsSoFar(server, kind) {
  return trains(await scrape(server), kind);
}

/** The same of a page. Its buckets are cumulative, and the last one has no upper bound. */
export function trains(page, kind) {
  const upTo = new Array(TRAIN_MAX).fill(0);
  for (const { labels, value } of series(page, 'engine_train_segments_bucket')) {
    if (labels.kind !== kind) continue;
    const length = labels.le === '+Inf' ? TRAIN_MAX : Number(labels.le);
    assert.ok(length >= 1 && length <= TRAIN_MAX, `a bucket of trains ends at ${labels.le}`);
    upTo[length - 1] = value;
  }
  return upTo.map((count, at) => count - (upTo[at - 1] ?? 0));
}

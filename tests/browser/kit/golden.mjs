/**
 * The live protocol as the golden files state it: does a message that was really sent have the shape of its file?
 *
 * Rust and the web client read the same files; this closes the triangle with what is on the wire.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenDir } from './env.mjs';

/** Fields that the protocol page marks with `?`. */
const OPTIONAL = new Set([
  'server.ack.seq',
  'server.error.id',
  'server.resync.cursor',
  // Of who is signed in.
  'server.event.message.from.userId',
  'server.welcome.events.message.from.userId',
  'server.event.participantJoined.userId',
  'server.welcome.events.participantJoined.userId',
  // Of what was written in rich text, to somebody, as an answer; and of what became of it.
  ...['html', 'mentions', 'replyTo', 'edited', 'reactions', 'from.userId'].map((field) => `server.chatEvent.event.${field}`),
  // Of a call that is over; and while one rings.
  'server.phoneCalls.calls.endReason',
  'server.event.phoneCall.until',
  'server.welcome.events.phoneCall.until',
  // A page with a cookie needs none, and whoever begins has none yet.
  'client.subscribe.token',
  'client.subscribe.cursor',
  'client.offer.lines',
  'client.layout.maxTiles',
  'client.layout.maxBitrate',
  'client.layout.mix',
]);

const shapes = new Map();
for (const file of readdirSync(goldenDir)) {
  const name = file.replace(/\.json$/, '');
  shapes.set(name, JSON.parse(readFileSync(join(goldenDir, file), 'utf8')));
}
const events = [...shapes].filter(([name]) => name.startsWith('server.event.'));
const person = shapes.get('server.roster').joined[0];

/**
 * @param {'client' | 'server'} side who sent it
 * @returns {string[]} what differs from the golden file; empty when nothing does
 */
export function deviations(side, message) {
  if (side === 'server' && message.type === 'event') return eventDeviations('server.event', message.event);
  const name = `${side}.${message.type}`;
  const shape = shapes.get(name);
  if (!shape) return [`${name} is not in the protocol`];
  // The file shows a message; what a person hears of their chats is an event of any kind.
  if (name !== 'server.chatEvent' || message.event?.kind === shape.event.kind) return compare(name, message, shape);
  const { event, ...around } = message;
  const { event: _, ...shapeAround } = shape;
  return [...compare(name, around, shapeAround), ...(event === undefined ? [`${name}.event is missing`] : eventDeviations('server.event', event))];
}

function eventDeviations(path, event) {
  const like = { meetingStarted: 'meetingEnded' }[event.kind] ?? event.kind;
  const shape = events.find(([, golden]) => golden.event.kind === like)?.[1].event;
  return shape ? compare(`${path}.${event.kind}`, event, shape) : [`${path}: no such kind ${event.kind}`];
}

function compare(path, value, shape) {
  if (value === null || shape === null) return [];
  if (path === 'server.welcome.events') return value.flatMap((event) => eventDeviations(path, event));
  if (Array.isArray(shape)) {
    const element = shape[0] ?? (path.startsWith('server.roster.') ? person : undefined);
    if (!Array.isArray(value)) return [`${path} is no list`];
    return element === undefined ? [] : value.flatMap((entry) => compare(path, entry, element));
  }
  if (typeof value !== typeof shape) return [`${path} is a ${typeof value}, not a ${typeof shape}`];
  if (typeof shape !== 'object') return [];
  const missing = Object.keys(shape).filter((key) => !(key in value) && !OPTIONAL.has(`${path}.${key}`));
  const extra = Object.keys(value).filter((key) => !(key in shape) && !OPTIONAL.has(`${path}.${key}`));
  return [
    ...missing.map((key) => `${path}.${key} is missing`),
    ...extra.map((key) => `${path}.${key} is not in the protocol`),
    ...Object.keys(shape).flatMap((key) => (key in value ? compare(`${path}.${key}`, value[key], shape[key]) : [])),
  ];
}

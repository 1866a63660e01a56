/**
 * Numbers, times and plural forms, by the person's language.
 */

const LANGUAGE = 'en';
const plurals = new Intl.PluralRules(LANGUAGE);
const numbers = new Intl.NumberFormat(LANGUAGE);

/**
 * Picks the form for a number; `#` in it becomes the number.
 *
 * @param {number} n
 * @param {{ one: string, other: string }} forms
 */
export const plural = (n, forms) =>
  (plurals.select(n) === 'one' ? forms.one : forms.other).replace('#', numbers.format(n));

/** @param {string} time RFC 3339. */
export const clock = (time) => format(time, { hour: 'numeric', minute: '2-digit' });
/** @param {string} time RFC 3339. */
export const day = (time) => format(time, { weekday: 'long', day: 'numeric', month: 'long' });
/** @param {string} time RFC 3339. @param {boolean} [withYear] */
export const dayAndClock = (time, withYear = false) =>
  format(time, { day: 'numeric', month: 'short', ...(withYear && { year: 'numeric' }), hour: 'numeric', minute: '2-digit' });

/** From when to when; the day once if it is the same, the year if it is another one. @param {string} starts RFC 3339. @param {string} [ends] RFC 3339. */
export function span(starts, ends) {
  const [from, to] = [new Date(starts), new Date(ends ?? starts)];
  if (Number.isNaN(from.getTime()) || Number.isNaN(to.getTime())) return '';
  const options = /** @type {Intl.DateTimeFormatOptions} */ ({ weekday: 'short', day: 'numeric', month: 'short', hour: 'numeric', minute: '2-digit' });
  if (from.getFullYear() !== new Date().getFullYear()) options.year = 'numeric';
  const wording = new Intl.DateTimeFormat(undefined, options);
  return ends === undefined ? wording.format(from) : wording.formatRange(from, to);
}

/** @param {string} time @param {Intl.DateTimeFormatOptions} options */
function format(time, options) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : new Intl.DateTimeFormat(undefined, options).format(date);
}

/** A link that calls a number. @param {string} number */
export const telOf = (number) => `tel:${number.replace(/[^\d+]/g, '')}`;

/**
 * A link that calls a number and, once that is answered, enters the conference id.
 *
 * Why `%23`: a plain `#` would end the address there, and phones then leave it out.
 *
 * @param {string} number
 * @param {string} conferenceId
 */
export const telHref = (number, conferenceId) => `${telOf(number)},,${conferenceId.replace(/\D/g, '')}%23`;

/** @param {number} bytes */
export function size(bytes) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
  const step = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log(bytes) / Math.log(1000)));
  return new Intl.NumberFormat(LANGUAGE, {
    style: 'unit',
    unit: units[step] ?? 'byte',
    maximumFractionDigits: step === 0 ? 0 : 1,
  }).format(bytes / 1000 ** step);
}

/** @param {number} ms @returns {string} Minutes and seconds, with hours when there are any. */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const hours = Math.floor(seconds / 3600);
  return hours > 0 ? `${hours}:${rest}` : rest.replace(/^0/, '');
}

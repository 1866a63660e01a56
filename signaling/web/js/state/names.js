/**
 * What stands for a person without a picture: initials, on a colour made from the name.
 */

/** Colours that carry white text at 4.5:1 and sit well together; they are classes in `stage.css`. */
export const HUES = 10;

/** @param {string} name @returns {string} One or two letters. */
export function initials(name) {
  const words = name.trim().split(/[\s\-_.]+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const first = words[0];
  if (first === undefined) return '?';
  const last = words.length > 1 ? words[words.length - 1] : undefined;
  return `${letter(first)}${last === undefined ? '' : letter(last)}`;
}

/** @param {string} word */
const letter = (word) => (word.match(/[\p{L}\p{N}]/u)?.[0] ?? '').toLocaleUpperCase();

/** @param {string} name @returns {number} From 0 to HUES - 1, the same on every screen. */
export function hueOf(name) {
  let hash = 2_166_136_261;
  for (const character of name.trim().toLowerCase()) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619) >>> 0;
  }
  return hash % HUES;
}

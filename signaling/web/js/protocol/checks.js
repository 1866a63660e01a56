/**
 * Small checks of parsed JSON, put together into the shapes of messages.
 *
 * Why: what comes from outside is checked once, at the door; a check is a function, so shapes read like their types.
 */

/** @typedef {(value: unknown) => boolean} Check */

/** @type {Check} */
export const text = (value) => typeof value === 'string';
/** @type {Check} */
export const flag = (value) => typeof value === 'boolean';
/** @type {Check} */
export const count = (value) => Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
/** @param {...string} words @returns {Check} */
export const oneOf = (...words) => (value) => typeof value === 'string' && words.includes(value);
/** @param {Check} check @returns {Check} */
export const orNull = (check) => (value) => value === null || check(value);
/** @param {Check} check @returns {Check} */
export const optional = (check) => (value) => value === undefined || value === null || check(value);
/** @param {Check} check @returns {Check} */
export const listOf = (check) => (value) => Array.isArray(value) && value.every(check);
/** @param {Record<string, Check>} fields @returns {Check} */
export const shape = (fields) => (value) =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(fields).every(([name, check]) => check(/** @type {Record<string, unknown>} */ (value)[name]));

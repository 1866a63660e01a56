/**
 * Random names for what this page creates.
 *
 * Why not `crypto.randomUUID`: it is missing from plain http pages, and those may at least listen and chat.
 */

/** @returns {string} 128 random bits as text. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

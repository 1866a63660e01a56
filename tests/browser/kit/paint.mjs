/**
 * The code that fake cameras paint and readers read: who is in the picture, and which frame of theirs it is.
 *
 * A picture is a grid of 16 x 9 squares (40 px each at 640 x 360). The top row holds 16 bits as white or black squares:
 * person (4), frame counter (8), checksum (4). The bottom row holds the same bits inverted. A reader compares a top square
 * with the one below it, so that brightness, contrast and a lossy codec do not matter, and a picture of which one half
 * belongs to another frame (a torn or mixed picture) fails the checksum or the comparison and reads as nothing.
 *
 * The functions here are pure and self-contained: their source text also runs inside the page (see read.mjs).
 */

export const COLUMNS = 16;
export const ROWS = 9;
export const WIDTH = 640;
export const HEIGHT = 360;
/** Frames a second of every fake camera: enough to see motion, little enough for three browsers on two cores. */
export const FPS = 15;
/** Frames until a fake camera's film starts again; also the modulus of its counter. */
export const LOOP = 150;

/** Four check bits over person and counter. */
export function checkBits(person, counter) {
  let rest = ((person << 8) | counter) << 4; // CRC-4, polynomial x^4 + x + 1
  for (let bit = 15; bit >= 4; bit -= 1) if (rest & (1 << bit)) rest ^= 0b10011 << (bit - 4);
  return rest ^ 0b1010; // so that an all-black strip is not a valid code
}

/** The 16 bits of a picture, leftmost square first. */
export function codeBits(person, counter) {
  const word = (person << 12) | (counter << 4) | checkBits(person, counter);
  return Array.from({ length: 16 }, (_, column) => (word >> (15 - column)) & 1);
}

/**
 * Reads the code from a picture.
 * @param {(x: number, y: number) => number} luma brightness 0..255 at a pixel
 * @returns {{person: number, counter: number} | null} null when the picture holds no readable code
 */
export function readCode(luma, width, height) {
  const cellWidth = width / 16;
  const cellHeight = height / 9;
  const brightness = (column, row) => {
    let sum = 0;
    for (let dy = 0; dy < 4; dy += 1) {
      for (let dx = 0; dx < 4; dx += 1) {
        const x = Math.floor((column + 0.3 + 0.4 * (dx / 3)) * cellWidth);
        const y = Math.floor((row + 0.3 + 0.4 * (dy / 3)) * cellHeight);
        sum += luma(x, y);
      }
    }
    return sum / 16;
  };
  let word = 0;
  for (let column = 0; column < 16; column += 1) {
    const difference = brightness(column, 0) - brightness(column, 8);
    if (Math.abs(difference) < 70) return null;
    word = (word << 1) | (difference > 0 ? 1 : 0);
  }
  const person = word >> 12;
  const counter = (word >> 4) & 0xff;
  return (word & 15) === checkBits(person, counter) ? { person, counter } : null;
}

/**
 * A page full of small text to share, and its reader: whether every letter of it can still be told from every other.
 *
 * A slide is 1920 x 1080 and holds lines of words, some four thousand letters of 14 px, drawn one by one on a grid of whole pixels. The reader draws
 * the same letters as templates and takes each cell for the letter that it differs least from; a picture that is scaled, blurred or of
 * another slide reads wrong. `slideTools` is self-contained: its source runs in the page that paints and in those that watch.
 */

export const SLIDE = { width: 1920, height: 1080 };

/* c8 ignore start: runs in the page */
export function slideTools() {
  const [width, height] = [1920, 1080];
  const [cellWidth, cellHeight, left, top] = [9, 18, 24, 24];
  const [columns, rows] = [208, 57];
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';

  const chance = (slide, column, row) => {
    let hash = (slide * 73_856_093) ^ (column * 19_349_663) ^ (row * 83_492_791);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return hash >>> 9;
  };
  /** The letter in a cell of a slide, or none: seeded, so that painter and reader agree. */
  const letterAt = (slide, column, row) => {
    const ends = 40 + (chance(slide, -1, row) % 80);
    const number = chance(slide, column, row);
    return column >= ends || number % 6 === 0 ? '' : letters[(number >>> 3) % letters.length];
  };

  const prepare = (pen) => {
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, width, height);
    pen.fillStyle = '#1b1d20';
    pen.font = '14px "DejaVu Sans Mono", monospace';
    pen.textBaseline = 'alphabetic';
  };

  /** Paints a slide on a canvas of its size. */
  const paint = (pen, slide) => {
    prepare(pen);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        pen.fillText(letterAt(slide, column, row), left + column * cellWidth, top + (row + 1) * cellHeight - 5);
      }
    }
  };

  let templates = null;
  const makeTemplates = () => {
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    prepare(pen);
    return [...letters].map((letter, index) => {
      const x = left + index * cellWidth;
      pen.fillText(letter, x, top + cellHeight - 5);
      const { data } = pen.getImageData(x, top, cellWidth, cellHeight);
      return Float32Array.from({ length: cellWidth * cellHeight }, (_, at) => data[at * 4 + 1]);
    });
  };

  /** How many letters of a picture are those of the slide. @returns {{ total: number, right: number }} */
  const read = (source, slide) => {
    templates ??= makeTemplates();
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    pen.drawImage(source, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height);
    let [total, right] = [0, 0];
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const letter = letterAt(slide, column, row);
        if (letter === '') continue;
        total += 1;
        let best = { letter: '', differs: Infinity };
        templates.forEach((template, at) => {
          let differs = 0;
          for (let y = 0; y < cellHeight && differs < best.differs; y += 1) {
            const line = ((top + row * cellHeight + y) * width + left + column * cellWidth) * 4 + 1;
            for (let x = 0; x < cellWidth; x += 1) differs += (data[line + x * 4] - template[y * cellWidth + x]) ** 2;
          }
          if (differs < best.differs) best = { letter: letters[at], differs };
        });
        if (best.letter === letter) right += 1;
      }
    }
    return { total, right };
  };

  return { paint, read };
}
/* c8 ignore stop */

/**
 * The simulcast layers of the own camera: how large each is, what it may take, and which are worth sending.
 *
 * Why three: a gallery, a large tile and the whole window each get a picture that fits, and a slow network one that it
 * carries, without anybody's encoder doing it for them. Why by the capture's size: browsers send as many layers as they think a
 * picture is worth, from the lowest on, so a small picture must be in the lowest ones at full size.
 *
 *   camera track -> height -> layersOf -> encodings of the sender      server: `demand` -> the highest that anybody wants
 */

/** Names of the layers, the lowest first. @type {readonly string[]} */
export const RIDS = ['q', 'h', 'f'];

/** What a layer of so many lines may take: VP8 is good at these rates; more is taken from the other side's downlink. */
const RATES = [
  { lines: 0, bitsPerSecond: 150_000 },
  { lines: 240, bitsPerSecond: 450_000 },
  { lines: 480, bitsPerSecond: 1_200_000 },
  { lines: 900, bitsPerSecond: 2_200_000 },
];

/**
 * @param {number} height Of the capture, in lines.
 * @param {number | null} highest The highest layer that anybody wants; the lowest is always sent, so that a newcomer sees it at once.
 *   Null: none is sent, because the network carries no picture.
 * @returns {{ rid: string, active: boolean, scaleResolutionDownBy: number, maxBitrate: number }[]}
 */
export function layersOf(height, highest = RIDS.length - 1) {
  const count = height >= 600 ? 3 : height >= 300 ? 2 : 1;
  return RIDS.map((rid, layer) => {
    const scaleResolutionDownBy = 2 ** Math.max(0, count - 1 - layer);
    const lines = height / scaleResolutionDownBy;
    const rate = RATES.findLast((entry) => lines >= entry.lines) ?? RATES[0];
    return {
      rid,
      active: highest !== null && layer < count && layer <= Math.max(0, highest),
      scaleResolutionDownBy,
      maxBitrate: rate?.bitsPerSecond ?? 0,
    };
  });
}

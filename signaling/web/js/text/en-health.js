/**
 * The words of call health, in English.
 */

/** @import { Grade, PictureReason } from '../state/health.js' */
/** @import { HealthLimit } from '../protocol/messages.js' */

const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat('en', { maximumSignificantDigits: 2 });

/** @param {number} bitsPerSecond */
const rate = (bitsPerSecond) => (bitsPerSecond >= 950_000 ? `${one.format(bitsPerSecond / 1e6)} Mbit/s` : `${two.format(bitsPerSecond / 1e3)} kbit/s`);

/** @type {Record<HealthLimit, string>} */
const LIMITS = {
  nothing: 'Nothing that was met',
  queue: 'Packets queue up on the way to you',
  loss: 'Packets are lost on the way to you',
  silence: 'Nothing is heard of you at the moment',
  client: 'Your own limit',
  operator: 'A limit of this server',
};

/** @type {Record<Grade, string>} */
const GRADES = { good: 'good', weak: 'weak', poor: 'poor' };

export const health = {
  heading: 'Call health',
  pausedTag: 'Paused by your network',
  /** @param {Grade} grade Of another person. */
  mark: (grade) => `Network: ${GRADES[grade]}`,
  /** @param {Grade} grade */
  ownMark: (grade) => `Your network: ${GRADES[grade]}`,
  /** @param {Grade | null} grade */
  own: (grade) => (grade === null ? 'Your network is being measured.' : `Your network is ${GRADES[grade]}.`),
  /** @type {Record<Grade, string>} */
  means: {
    good: 'Everything arrives as it should.',
    weak: 'It carries less than it could use: some pictures are smaller, or packets are lost.',
    poor: 'It carries little more than voices, or loses much of what is sent.',
  },
  soundOnly: 'Sound only',
  soundOnlyHint:
    'No pictures, in neither direction. It begins by itself when your network carries little more than voices, and ends by itself when it carries more.',
  /** @type {Record<'down' | 'up' | 'person', string>} */
  audioOnly: {
    down: 'Sound only: your network carries too little for pictures at the moment. They come back by themselves.',
    up: 'Sound only: your network lets too little out for a picture of you. Pictures come back by themselves.',
    person: 'Sound only, as you chose.',
  },
  showVideo: 'Show video',
  showVideoAnyway: 'Show video anyway',
  toYou: 'To you',
  fromYou: 'From you',
  pictures: 'What you see',
  carries: 'Carries about',
  arriving: 'Arriving',
  sending: 'Sending',
  reaching: 'Reaching the server',
  lost: 'Lost on the way',
  roundTrip: 'There and back',
  waiting: 'Waiting on the way',
  heldBackBy: 'Held back by',
  madeUp: 'Sound made up for what was lost',
  ownPicture: 'Your picture',
  voices: 'Voices',
  voicesApart: 'A stream for each',
  /** @param {{ late: number, skipped: number, encodesSaved: number }} mix */
  mixed: ({ late, skipped, encodesSaved }) =>
    `All as one stream, at most ${late} ms late${skipped === 0 ? '' : `, ${skipped * 20} ms left out`}; ${encodesSaved} encodes saved by sharing`,
  intoMix: 'Your voice in the mix',
  notMixed: 'Not in a mix just now',
  /** @param {{ concealedPermille: number, stretchedPermille: number }} mixed */
  goesIntoMix: ({ concealedPermille, stretchedPermille }) => `${one.format(concealedPermille / 10)} % made up, ${one.format(stretchedPermille / 10)} % stretched`,
  unknown: 'Not known yet',
  nobody: 'Nobody’s picture is shown at the moment.',
  nothingSent: 'Nothing is being sent.',
  rate,
  /** @param {number} permille */
  share: (permille) => `${one.format(permille / 10)} %`,
  /** @param {number} ms */
  time: (ms) => `${Math.round(ms)} ms`,
  /** @param {HealthLimit} limit */
  limit: (limit) => LIMITS[limit],
  /** @param {number} lost @param {number} missing In a thousandth. */
  repaired: (lost, missing) => `${one.format(lost / 10)} %, ${one.format(missing / 10)} % after repair`,
  /** @param {{ width: number, height: number, frames: number }} size */
  picture: ({ width, height, frames }) => `${width} × ${height}, ${frames} frames a second`,
  /** @type {Record<'none' | 'network' | 'device', string>} */
  heldBack: { none: 'as large as it should be', network: 'smaller because of your network', device: 'smaller because this device is busy' },
  /** @param {PictureReason} reason @param {number | null} carries Bits a second. */
  why: (reason, carries) => {
    switch (reason) {
      case 'wanted':
        return 'as large as its tile needs';
      case 'source':
        return 'as large as they send';
      case 'network':
        return carries === null ? 'smaller because of your network' : `smaller because your network carries ${rate(carries)}`;
      case 'paused':
        return carries === null ? 'paused by your network' : `paused because your network carries only ${rate(carries)}`;
    }
  },
};

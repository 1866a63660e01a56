/**
 * A camera and a microphone made by the page itself, for browsers that play no files as devices, and for tests that must
 * know which picture belongs to which sound: the canvas shows the person's code (paint.mjs), and the tone can be a mark, 0.6
 * seconds long as a word may be, that begins with every picture whose counter a second divides.
 *
 * `painted()` is text for a page; it defines `window.__painted(person)`, which gives a stream and what can be done to it.
 */
import { TONES } from './media.mjs';
import { checkBits, codeBits, COLUMNS, FPS, HEIGHT, LOOP, ROWS, WIDTH } from './paint.mjs';

/** What is to run in every page, as text. */
export const painted = () => `{
  const [COLUMNS, ROWS, WIDTH, HEIGHT, FPS, LOOP, TONES] = ${JSON.stringify([COLUMNS, ROWS, WIDTH, HEIGHT, FPS, LOOP, TONES])};
  ${checkBits.toString()}
  ${codeBits.toString()}
  window.__painted = ${inPage.toString()};
}`;

/* c8 ignore start: runs in the page */
/* global codeBits, COLUMNS, ROWS, WIDTH, HEIGHT, FPS, LOOP, TONES */
function inPage(person) {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const pen = canvas.getContext('2d');
  const [wide, high] = [WIDTH / COLUMNS, HEIGHT / ROWS];
  const context = new AudioContext({ sampleRate: 48_000 });
  const oscillator = new OscillatorNode(context, { frequency: TONES[person] });
  const gain = new GainNode(context, { gain: 0 });
  const sound = context.createMediaStreamDestination();
  oscillator.connect(gain).connect(sound);
  oscillator.start();
  // Where a context may not begin by itself, a click wakes it.
  const wake = () => void context.resume();
  addEventListener('pointerdown', wake);
  wake();

  let counter = 0;
  let marks = false;
  const paint = () => {
    counter = (counter + 1) % LOOP;
    pen.fillStyle = `hsl(${person * 60} 40% 50%)`;
    pen.fillRect(0, 0, WIDTH, HEIGHT);
    pen.fillStyle = 'white';
    pen.fillRect(WIDTH * (0.4 + 0.3 * Math.sin((2 * Math.PI * counter) / LOOP)), HEIGHT * 0.3, 120, 140);
    codeBits(person, counter).forEach((bit, column) => {
      for (const [row, white] of [[0, bit], [ROWS - 1, !bit]]) {
        pen.fillStyle = white ? 'white' : 'black';
        pen.fillRect(column * wide, row * high, wide, high);
      }
    });
    if (marks && counter % FPS === 0) {
      gain.gain.setValueAtTime(0.3, context.currentTime);
      gain.gain.setValueAtTime(0, context.currentTime + 0.6);
    }
  };
  paint();
  setInterval(paint, 1000 / FPS);
  const stream = canvas.captureStream(FPS);
  stream.addTrack(sound.stream.getAudioTracks()[0]);
  return {
    stream,
    /** All the time, or not at all. */
    sing: (loud) => gain.gain.setValueAtTime(loud ? 0.25 : 0, context.currentTime),
    /** A mark a second, or none. */
    mark: (on) => {
      marks = on;
    },
  };
}
/* c8 ignore stop */

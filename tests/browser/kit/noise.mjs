/**
 * A picture that no encoder can make small: noise that jumps with every frame. Whoever needs a camera to send
 * as much as it may, whatever Chromium thinks of its content, takes this one.
 */

/**
 * Begins to paint; the stream is `window.noise` from then on.
 * @param {import('playwright-core').Page} page
 * @param {number} fps
 * @param {{width: number, height: number}} [size]
 */
export const makeNoise = (page, fps, size = { width: 1280, height: 720 }) => page.evaluate(([framesPerSecond, { width, height }]) => {
  const margin = 128;
  const noise = new OffscreenCanvas(width + margin, height + margin);
  const grain = new ImageData(noise.width, noise.height);
  let state = 1;
  const next = (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let at = 0; at < grain.data.length; at += 4) grain.data.fill(96 + next(48), at, at + 3)[at + 3] = 255;
  noise.getContext('2d').putImageData(grain, 0, 0);
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const pen = canvas.getContext('2d');
  setInterval(() => pen.drawImage(noise, -next(margin), -next(margin)), 1000 / framesPerSecond);
  window.noise = canvas.captureStream(framesPerSecond);
}, [fps, size]);

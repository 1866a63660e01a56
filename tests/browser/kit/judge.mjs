/**
 * Judges a page as it stands: no sideways scroll, targets of 44 px, no serious finding by axe-core; on a desk and on a
 * phone, in light and dark. Screenshots are kept for looking at.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join as path } from 'node:path';
import axe from 'axe-core';
import { shotsDir } from './env.mjs';

export const SIZES = [{ width: 1440, height: 900 }, { width: 390, height: 844 }];
const SCHEMES = ['light', 'dark'];
const TARGET_PX = 44;

/** Judges the page as it stands in every size and scheme, and gives all findings. */
export async function judge({ page }, name, sizes = SIZES) {
  mkdirSync(shotsDir, { recursive: true });
  const findings = [];
  for (const size of sizes) {
    await page.setViewportSize(size);
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await settled(page);
      const where = `${name} ${size.width}x${size.height} ${colorScheme}`;
      await page.screenshot({ path: path(shotsDir, `${name}-${size.width}-${colorScheme}.png`) });
      findings.push(...(await looks(page)).map((finding) => `${where}: ${finding}`));
      findings.push(...(await axeFindings(page)).map((finding) => `${where}: axe ${finding}`));
    }
  }
  await page.setViewportSize({ width: 960, height: 600 });
  assert.deepEqual(findings, []);
}

/** Layout follows a resize within frames; judged when nothing has moved for three. */
function settled(page) {
  return page.evaluate(() => new Promise((resolve) => {
    let [last, same] = ['', 0];
    const look = () => {
      const shape = JSON.stringify([...document.querySelectorAll('button, input, video')].map((element) => element.getBoundingClientRect()));
      same = shape === last ? same + 1 : 0;
      last = shape;
      if (same >= 3) resolve();
      else requestAnimationFrame(look);
    };
    look();
  }));
}

function looks(page) {
  return page.evaluate((least) => {
    const findings = [];
    const root = document.scrollingElement;
    if (root.scrollWidth > innerWidth) findings.push(`scrolls sideways: ${root.scrollWidth} > ${innerWidth}`);
    for (const element of document.querySelectorAll('button, a[href], input, select, textarea, summary, [role="button"], [role="tab"], [role="menuitem"]')) {
      if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || element.disabled) continue;
      // What a finger can hit includes the label of a control.
      const boxes = [element, ...(element.labels ?? [])].map((one) => one.getBoundingClientRect());
      const width = Math.max(...boxes.map((box) => box.width));
      const height = Math.max(...boxes.map((box) => box.height));
      if (width === 0 || height === 0) continue;
      const inText = getComputedStyle(element).display === 'inline' && element.parentElement.textContent.trim() !== element.textContent.trim();
      if (inText) continue; // a link within a sentence is as high as its line (WCAG 2.5.8)
      // Kept for screen readers and keyboards, off the screen until focused.
      if (boxes[0].right <= 0 || boxes[0].bottom <= 0) continue;
      const label = element.getAttribute('aria-label') ?? element.textContent.trim() ?? '';
      if (width < least - 0.5 || height < least - 0.5) findings.push(`${element.localName} "${label}" is ${Math.round(width)}x${Math.round(height)}`);
      if (boxes[0].right > innerWidth + 0.5 && getComputedStyle(element).position !== 'fixed') findings.push(`${element.localName} "${label}" reaches beyond the right edge`);
    }
    return findings;
  }, TARGET_PX);
}

async function axeFindings(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id} (${help}): ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

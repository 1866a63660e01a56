/**
 * The few helpers with which the page is made of elements.
 *
 * Why so few: `h` builds, `keyed` keeps elements that belong to the same thing, `set*` writes only what changed. That
 * is all a page without a framework needs, and a `<video>` never loses its place.
 */

/** @typedef {Node | string | null | undefined | false} Child */
/**
 * @typedef {object} Props
 * @property {string} [class]
 * @property {Record<string, string>} [data]
 * @property {Record<string, string | boolean | null | undefined>} [attrs]
 * @property {Record<string, (event: any) => void>} [on]
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  if (props.class) element.className = props.class;
  Object.assign(element.dataset, props.data);
  for (const [name, value] of Object.entries(props.attrs ?? {})) setAttr(element, name, value);
  for (const [name, listener] of Object.entries(props.on ?? {})) element.addEventListener(name, listener);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {Element} element @param {string} name @param {string | boolean | null | undefined} value */
export function setAttr(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : value;
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {HTMLElement} element @param {boolean} hidden */
export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} name A symbol of `icons.svg`. @returns {SVGSVGElement} */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'use'));
  setIcon(svg, name);
  return svg;
}

/** @param {SVGSVGElement} svg @param {string} name */
export function setIcon(svg, name) {
  const use = svg.firstElementChild;
  if (use) setAttr(use, 'href', `/assets/icons.svg#${name}`);
}

/**
 * Makes `parent` hold one element per item, in order; elements stay with their key.
 *
 * @template I
 * @param {HTMLElement} parent
 * @param {Map<string, HTMLElement>} elements Kept by the caller between calls.
 * @param {readonly I[]} items
 * @param {(item: I) => string} keyOf
 * @param {(item: I) => HTMLElement} create
 */
export function keyed(parent, elements, items, keyOf, create) {
  const keys = new Set(items.map(keyOf));
  for (const [key, element] of elements) {
    if (keys.has(key)) continue;
    element.remove();
    elements.delete(key);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let element = elements.get(key);
    if (!element) {
      element = create(item);
      elements.set(key, element);
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}

/**
 * A text field with its label above.
 *
 * @param {string} label
 * @param {Record<string, string | boolean>} attrs
 * @param {string} [hint]
 */
export function field(label, attrs, hint) {
  const id = `field-${String(attrs.name)}`;
  const hintId = `${id}-hint`;
  const input = h('input', { class: 'input', attrs: { id, type: 'text', ...attrs, 'aria-describedby': hint ? hintId : null } });
  const element = h(
    'div',
    { class: 'field' },
    h('label', { attrs: { for: id } }, label),
    input,
    hint ? h('p', { class: 'hint', attrs: { id: hintId } }, hint) : null,
  );
  return { element, input };
}

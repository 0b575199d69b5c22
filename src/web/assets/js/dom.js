// Makes elements, holds values that others watch, and speaks to screen readers. The only helper between us and the DOM.

const SVG = "http://www.w3.org/2000/svg";
/** Announcements that come faster than this are merged: only the last one is read. */
const ANNOUNCE_MILLISECONDS = 3000;

/**
 * Makes an element. Without props the children may follow the tag at once.
 * @param {string} tag
 * @param {Record<string, any>|Node|string|Array|null} [props] `class`, `on<event>`, `ref` (called with the element), attributes;
 *   true sets an attribute, false and null leave it out; `value`, `checked` and the like are set as properties
 * @param {...any} children nodes, texts, numbers, arrays of them; null, undefined and booleans are left out
 * @returns {any} an HTMLElement of that tag
 */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * Makes an element of SVG, as `h` does.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...any} children
 * @returns {any} an SVGElement
 */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** Set as properties: their attribute is only a beginning. */
const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "hidden", "open", "indeterminate"]);

function fill(element, props, children) {
  if (isContent(props)) children.unshift(props);
  else if (props) for (const [name, value] of Object.entries(props)) set(element, name, value);
  append(element, children);
  // A select knows its value only once its options are there.
  if (element.tagName === "SELECT" && props?.value !== undefined) element.value = props.value;
  return element;
}

function isContent(value) {
  return typeof value === "string" || typeof value === "number" || value instanceof Node || Array.isArray(value);
}

function set(element, name, value) {
  if (value === undefined || value === null) return;
  if (name === "ref") value(element);
  else if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2).toLowerCase(), value);
  else if (PROPERTIES.has(name) && name in element) element[name] = value;
  else if (name.startsWith("aria-")) element.setAttribute(name, String(value));
  else if (value === true) element.setAttribute(name, "");
  else if (value !== false) element.setAttribute(name === "className" ? "class" : name, String(value));
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || typeof child === "boolean") continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Puts these children into an element instead of what it has.
 * @param {Element} parent
 * @param {...any} children as for `h`
 */
export function replace(parent, ...children) {
  const fragment = document.createDocumentFragment();
  append(fragment, children);
  parent.replaceChildren(fragment);
}

/**
 * Writes a text only if it is another one: an untouched text costs no layout.
 * @param {Element} element
 * @param {string|number} text
 */
export function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = String(text);
}

/**
 * A value that others watch.
 * @template T
 * @param {T} value
 * @returns {{get: () => T, set: (value: T) => void, subscribe: (fn: (value: T) => void) => () => void}}
 */
export function signal(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const watch of [...watchers]) watch(value);
    },
    subscribe(watch) {
      watchers.add(watch);
      return () => watchers.delete(watch);
    },
  };
}

let region = null;
let waiting = null;
let lastSaid = -Infinity;

/**
 * Has screen readers read a text when they come to it, at most one in three seconds; of several the last counts.
 * @param {string} text
 */
export function announce(text) {
  const timerRuns = waiting !== null;
  waiting = text;
  if (timerRuns) return;
  setTimeout(() => {
    region ??= document.body.appendChild(h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" }));
    region.textContent = waiting;
    waiting = null;
    lastSaid = performance.now();
  }, Math.max(100, lastSaid + ANNOUNCE_MILLISECONDS - performance.now()));
}

/**
 * A function that waits until nobody has called it for a while.
 * @param {number} milliseconds
 * @param {(...args: any[]) => void} fn
 * @returns {((...args: any[]) => void) & {cancel: () => void}}
 */
export function debounce(milliseconds, fn) {
  let timer;
  const later = (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...args), milliseconds);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

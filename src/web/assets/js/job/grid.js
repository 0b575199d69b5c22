// The grid: a cell for each node on one canvas, of which only those that changed are drawn anew.
//
// To assistive technology it is a list box with the one option that is active; the same nodes stand in a table beside it.

import { h } from "../dom.js";
import { cellAt, layoutOf, moved } from "./layout.js";
import { colorsOf, spriteOf } from "./palette.js";

/** It does not get higher than this while cells can shrink. */
const HEIGHT = 420;
/** Rows that a page key leaps over at most. */
const PAGE_ROWS = 10;

/**
 * Makes the grid.
 * @param {object} host
 * @param {() => import("./model.js").JobModel} host.model
 * @param {(at: number) => string} host.describe a node in a few words
 * @param {(at: number) => void} host.open
 * @returns {{element: HTMLElement, show: Function, update: Function, recolor: Function, resize: Function, close: Function, activate: Function}}
 */
export function nodeGrid({ model, describe, open }) {
  const canvas = h("canvas", { class: "grid-canvas", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  // Two in turn: a new active option is read out, a changed one is not.
  const options = [0, 1].map((number) => h("div", { role: "option", id: `grid-option-${number}`, "aria-selected": "true" }));
  const hidden = h("div", { class: "visually-hidden", role: "presentation" }, options[0]);
  const frame = h("div", { class: "grid-frame", "aria-hidden": "true" });
  const tip = h("div", { class: "grid-tip", "aria-hidden": "true" });
  const box = h("div", { class: "grid-box", role: "listbox", tabindex: "0", "aria-label": "Nodes", "aria-describedby": "grid-keys" }, canvas, frame, hidden);
  const keys = h("p", { class: "grid-keys", id: "grid-keys" }, "Arrow keys move, Enter opens a node.");
  const element = h("div", { class: "grid" }, box, tip, keys);
  frame.hidden = true;
  tip.hidden = true;

  let shown = new Uint32Array(0);
  let places = new Int32Array(0);
  let layout = layoutOf(0, 300, HEIGHT);
  let active = -1;
  let turn = 0;
  let ratio = 1;
  let colors = null;
  let sprite = null;
  let room = 0;

  function recolor() {
    colors = colorsOf(box);
    paint();
  }

  function fit() {
    room = box.clientWidth || 300;
    ratio = window.devicePixelRatio || 1;
    layout = layoutOf(shown.length, room, HEIGHT);
    canvas.width = Math.max(1, Math.round(layout.width * ratio));
    canvas.height = Math.max(1, Math.round(layout.height * ratio));
    canvas.style.width = `${layout.width}px`;
    canvas.style.height = `${layout.height}px`;
    paint();
    mark();
  }

  function paint() {
    if (room === 0) return;
    colors ??= colorsOf(box);
    const edge = Math.max(2, Math.round((layout.size - layout.gap) * ratio));
    sprite = spriteOf(colors, edge);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (let cell = 0; cell < shown.length; cell += 1) draw(cell, edge);
  }

  function draw(cell, edge) {
    const x = Math.round((cell % layout.columns) * layout.size * ratio);
    const y = Math.round(Math.floor(cell / layout.columns) * layout.size * ratio);
    context.clearRect(x, y, edge, edge);
    context.drawImage(sprite, model().state[shown[cell]] * edge, 0, edge, edge, x, y, edge, edge);
  }

  /** Shows these nodes; the active one stays if it is among them. */
  function show(wanted) {
    shown = wanted;
    places = new Int32Array(model().size).fill(-1);
    for (let cell = 0; cell < shown.length; cell += 1) places[shown[cell]] = cell;
    if (active >= places.length || (active >= 0 && places[active] < 0)) active = -1;
    fit();
    name();
  }

  /** Draws these nodes anew. */
  function update(changed) {
    if (sprite === null) return;
    const edge = sprite.height;
    for (const at of changed) {
      if (places[at] >= 0) draw(places[at], edge);
      if (at === active) options[turn].textContent = describe(active);
    }
  }

  function mark() {
    const cell = active < 0 ? -1 : places[active];
    frame.hidden = cell < 0;
    if (cell < 0) return;
    const size = layout.size - layout.gap;
    frame.style.width = `${size}px`;
    frame.style.height = `${size}px`;
    frame.style.left = `${(cell % layout.columns) * layout.size}px`;
    frame.style.top = `${Math.floor(cell / layout.columns) * layout.size}px`;
  }

  function name() {
    const cell = active < 0 ? -1 : places[active];
    if (cell < 0) {
      box.removeAttribute("aria-activedescendant");
      options[turn].textContent = shown.length === 0 ? "No node" : `${shown.length} nodes`;
      return;
    }
    turn = 1 - turn;
    const option = options[turn];
    option.textContent = describe(active);
    option.setAttribute("aria-posinset", String(cell + 1));
    option.setAttribute("aria-setsize", String(shown.length));
    hidden.replaceChildren(option);
    box.setAttribute("aria-activedescendant", option.id);
  }

  function activate(at) {
    active = at;
    mark();
    name();
    if (!frame.hidden && document.activeElement === box) frame.scrollIntoView({ block: "nearest" });
  }

  function point(cell) {
    if (cell < 0) {
      tip.hidden = true;
      return;
    }
    tip.textContent = describe(shown[cell]);
    tip.hidden = false;
    const x = (cell % layout.columns) * layout.size;
    const y = Math.floor(cell / layout.columns) * layout.size + layout.size + 6;
    tip.style.left = `${Math.max(0, Math.min(x, room - tip.offsetWidth))}px`;
    tip.style.top = `${y - box.scrollTop}px`;
  }

  const under = (event) => {
    const edges = canvas.getBoundingClientRect();
    return cellAt(layout, shown.length, event.clientX - edges.left, event.clientY - edges.top);
  };
  box.addEventListener("pointermove", (event) => event.pointerType !== "touch" && point(under(event)));
  box.addEventListener("pointerleave", () => point(-1));
  box.addEventListener("click", (event) => {
    const cell = under(event);
    if (cell < 0) return;
    activate(shown[cell]);
    open(shown[cell]);
  });
  box.addEventListener("focus", () => {
    if (active < 0 && shown.length > 0) activate(shown[0]);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return point(-1);
    if (event.ctrlKey || event.metaKey || event.altKey || shown.length === 0) return;
    const cell = active < 0 ? 0 : places[active];
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      open(shown[cell]);
      return;
    }
    const page = Math.min(PAGE_ROWS, layout.rows - 1);
    const to = active < 0 ? 0 : moved(layout, shown.length, cell, event.key, page);
    if (to === null) return;
    event.preventDefault();
    activate(shown[to]);
    point(-1);
  });

  const watcher = new ResizeObserver(() => {
    if (box.clientWidth > 0 && box.clientWidth !== room) fit();
  });
  watcher.observe(box);
  return { element, show, update, recolor, activate, resize: fit, close: () => watcher.disconnect() };
}

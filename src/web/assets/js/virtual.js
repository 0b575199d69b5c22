// A long list of which only the rows in sight exist. The page itself scrolls; rows have one height.

import { h } from "./dom.js";

/** Rows drawn above and below what is in sight. */
const SPARE = 8;

/**
 * Makes the list. The row with the focus stays, wherever one scrolls.
 * @param {{label: string, columns: string[], rowHeight: () => number, make: () => {element: HTMLElement, fill: (item: any) => void},
 *   onLeave: (fn: () => void) => void}} options `columns`: the titles in the head; `make`: a row that can show any item
 * @returns {{element: HTMLElement, head: HTMLElement, show: (items: any[]) => void}}
 */
export function virtualList({ label, columns, rowHeight, make, onLeave }) {
  const head = h("div", { class: "virtual-head", role: "row", "aria-rowindex": "1" }, columns.map((title) => h("div", { role: "columnheader" }, title)));
  const body = h("div", { class: "virtual-body", role: "rowgroup" });
  const element = h("div", { class: "virtual", role: "table", "aria-label": label }, h("div", { role: "rowgroup" }, head), body);
  let items = [];
  /** Rows in use by their place, and those that wait to be used again. */
  const used = new Map();
  const free = [];
  let asked = 0;

  function lay() {
    asked = 0;
    if (!element.isConnected) return;
    const height = rowHeight();
    const top = body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - SPARE);
    const last = Math.min(items.length, Math.ceil((window.innerHeight - top) / height) + SPARE);
    for (const [at, row] of used) {
      const focused = row.element.contains(document.activeElement);
      if ((at >= first && at < last) || (focused && at < items.length)) continue;
      used.delete(at);
      row.element.hidden = true;
      free.push(row);
    }
    for (let at = first; at < last; at += 1) {
      if (used.has(at)) continue;
      const row = free.shift() ?? add();
      row.element.hidden = false;
      used.set(at, row);
      place(row, at, height);
    }
    arrange();
  }

  /** Keeps elements in the order of the rows: the tab key and screen readers follow it. The one with the focus is never moved. */
  function arrange() {
    const order = [...used.values()].sort((a, b) => a.at - b.at);
    let place = body.firstElementChild;
    for (const { element: row } of order) {
      if (row !== place) {
        if (row.contains(document.activeElement)) while (place !== row) [place] = [place.nextElementSibling, body.append(place)];
        else body.insertBefore(row, place);
      }
      if (row === place) place = place.nextElementSibling;
    }
  }

  function add() {
    const row = make();
    row.element.setAttribute("role", "row");
    body.append(row.element);
    return row;
  }

  function place(row, at, height) {
    row.at = at;
    row.element.style.transform = `translateY(${at * height}px)`;
    row.element.setAttribute("aria-rowindex", String(at + 2));
    row.fill(items[at]);
  }

  function ask() {
    asked ||= requestAnimationFrame(lay);
  }

  function show(next) {
    items = next;
    const height = rowHeight();
    body.style.height = `${items.length * height}px`;
    element.setAttribute("aria-rowcount", String(items.length + 1));
    for (const [at, row] of used) if (at < items.length) place(row, at, height);
    lay();
  }

  /** Arrow keys go from row to row, also to those that do not exist yet. */
  body.addEventListener("keydown", (event) => {
    const now = [...used.values()].find((row) => row.element.contains(event.target));
    const page = Math.max(1, Math.floor(window.innerHeight / rowHeight()) - 3);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -items.length, End: items.length };
    if (!now || !(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const to = Math.min(items.length - 1, Math.max(0, now.at + steps[event.key]));
    const height = rowHeight();
    const y = body.getBoundingClientRect().top + to * height;
    const margin = 120;
    if (y < margin) window.scrollBy(0, y - margin);
    else if (y + height > window.innerHeight - margin / 2) window.scrollBy(0, y + height - window.innerHeight + margin / 2);
    lay();
    used.get(to)?.element.querySelector("a, button")?.focus({ preventScroll: true });
    ask();
  });

  window.addEventListener("scroll", ask, { passive: true });
  const resized = () => show(items);
  window.addEventListener("resize", resized);
  onLeave(() => {
    window.removeEventListener("scroll", ask);
    window.removeEventListener("resize", resized);
    cancelAnimationFrame(asked);
  });
  return { element, head, show };
}

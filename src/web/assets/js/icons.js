// Small drawings, inline: the mark, signs of states that tell without their color, and those of buttons.

import { svg } from "./dom.js";

/** Paths on a field of 16 by 16, drawn as strokes. */
const PATHS = {
  new: "M8 3.5v0M3.5 8h0M12.5 8h0M8 12.5h0",
  ready: "M8 2.8a5.2 5.2 0 1 0 0 10.4a5.2 5.2 0 1 0 0-10.4z",
  running: "M8 2.8a5.2 5.2 0 0 1 5.2 5.2M8 13.2a5.2 5.2 0 0 1-5.2-5.2M8 8h0",
  finished: "M3 8.6l3.4 3.4L13 4.6",
  failed: "M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4",
  errored: "M8 2.2v7.2M8 13.4h0",
  skipped: "M3 4.5l4 3.5l-4 3.5M9 4.5l4 3.5l-4 3.5",
  stopping: "M4 4h8v8h-8z",
  stopped: "M4 4h8v8h-8zM6.5 6.5h3v3h-3z",
  success: "M3 8.6l3.4 3.4L13 4.6",
  failure: "M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4",
  connected: "M8 2.8a5.2 5.2 0 1 0 0 10.4a5.2 5.2 0 1 0 0-10.4zM8 6.9a1.1 1.1 0 1 0 0 2.2a1.1 1.1 0 1 0 0-2.2z",
  away: "M4 4l8 8M8 2.8a5.2 5.2 0 1 0 0 10.4a5.2 5.2 0 1 0 0-10.4z",
  play: "M5 3.2l7.6 4.8L5 12.8z",
  clock: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM8 5v3.2l2.2 1.4",
  list: "M2.5 4.2h11M2.5 8h11M2.5 11.8h11",
  nodes: "M3 3h4v4H3zM9 3h4v4H9zM3 9h4v4H3zM9 9h4v4H9z",
  user: "M8 2.6a2.6 2.6 0 1 0 0 5.2a2.6 2.6 0 1 0 0-5.2zM2.8 13.6c.6-2.7 2.6-4 5.2-4s4.6 1.3 5.2 4",
  sun: "M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6zM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7",
  moon: "M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z",
  screen: "M2 3h12v8H2zM6 13.5h4",
  copy: "M5.5 5.5h7.5v7.5H5.5zM3 10.5V3h7.5",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM10.5 10.5l3.2 3.2",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  close: "M4 4l8 8M12 4l-8 8",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5l-5 5",
  warn: "M8 2l6.5 11.5h-13zM8 6.5v3M8 11.5h0",
  logout: "M6.5 2.5h-4v11h4M6 8h7.5M10.5 5l3 3l-3 3",
};

/**
 * A drawing; what it means must stand beside it in words.
 * @param {string} name
 * @param {string} [className]
 * @returns {SVGElement}
 */
export function icon(name, className = "") {
  return svg("svg", { class: `icon icon-${name} ${className}`.trim(), viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, svg("path", { d: PATHS[name] ?? PATHS.new }));
}

/**
 * The mark: a puppet on its strings, before the three stripes of the curtain.
 * @returns {SVGElement}
 */
export function mark() {
  const stripe = (x, name) => svg("rect", { class: `stripe-${name}`, x, y: 0, width: 11, height: 32 });
  return svg(
    "svg",
    { class: "mark-logo", viewBox: "0 0 32 32", "aria-hidden": "true", focusable: "false" },
    stripe(0, "ink"),
    stripe(10.7, "leaf"),
    stripe(21.4, "persimmon"),
    svg("path", { class: "mark-strings", d: "M7 6.5h18M16 6.5v5M8.5 6.5v10M23.5 6.5v10M8.5 18.5l5 3M23.5 18.5l-5 3" }),
    svg("circle", { class: "mark-puppet", cx: 16, cy: 14.5, r: 3.6 }),
    svg("path", { class: "mark-puppet", d: "M13.2 19.5h5.6l2.4 7.5h-10.4z" }),
    svg("circle", { class: "mark-puppet", cx: 8.5, cy: 18, r: 1.8 }),
    svg("circle", { class: "mark-puppet", cx: 23.5, cy: 18, r: 1.8 }),
  );
}

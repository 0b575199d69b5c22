// How the cells of the grid look: a color by state from the page's own tokens, and a shape, for those who cannot tell colors.

import { STATES } from "./model.js";

/** Tokens of css/job.css, one for each state. */
const TOKENS = STATES.map((name) => `--job-${name}`);

/**
 * The colors as they are now: light or dark.
 * @param {HTMLElement} element within the page
 * @returns {{states: string[], ground: string, ink: string, line: string, accent: string}}
 */
export function colorsOf(element) {
  // A canvas does not resolve tokens; the color of an element is always a plain one.
  const probe = element.appendChild(document.createElement("span"));
  probe.hidden = true;
  const value = (token) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    states: TOKENS.map(value),
    ground: value("--job-ground"),
    ink: value("--job-ink"),
    line: value("--job-line"),
    accent: value("--job-accent"),
  };
  probe.remove();
  return colors;
}

/**
 * Draws the mark of a state into a square.
 * @param {CanvasRenderingContext2D} context
 * @param {number} state
 * @param {{states: string[], ground: string}} colors
 * @param {number} x
 * @param {number} y
 * @param {number} edge
 */
export function drawMark(context, state, colors, x, y, edge) {
  const color = colors.states[state];
  context.fillStyle = color;
  const line = Math.max(1, Math.round(edge / 7));
  const middle = edge / 2;
  switch (STATES[state]) {
    case "running":
      // A ring: it is not full yet.
      context.fillRect(x, y, edge, edge);
      context.fillStyle = colors.ground;
      context.fillRect(x + line * 2, y + line * 2, edge - line * 4, edge - line * 4);
      break;
    case "finished":
      context.fillRect(x, y, edge, edge);
      break;
    case "failed":
      context.fillRect(x, y, edge, edge);
      cross(context, colors.ground, x, y, edge, line);
      break;
    case "errored":
      // A diamond.
      context.beginPath();
      context.moveTo(x + middle, y);
      context.lineTo(x + edge, y + middle);
      context.lineTo(x + middle, y + edge);
      context.lineTo(x, y + middle);
      context.fill();
      break;
    case "skipped":
      context.fillRect(x, y + Math.round(middle - line), edge, line * 2);
      break;
    default:
      // New and ready: an empty frame.
      context.fillRect(x, y, edge, edge);
      context.fillStyle = colors.ground;
      context.fillRect(x + line, y + line, edge - line * 2, edge - line * 2);
  }
}

function cross(context, color, x, y, edge, line) {
  const inset = edge * 0.22;
  context.strokeStyle = color;
  context.lineWidth = line;
  context.beginPath();
  context.moveTo(x + inset, y + inset);
  context.lineTo(x + edge - inset, y + edge - inset);
  context.moveTo(x + edge - inset, y + inset);
  context.lineTo(x + inset, y + edge - inset);
  context.stroke();
}

/**
 * The marks of all states on one small canvas, side by side: copying them is cheaper than drawing them again.
 * @param {{states: string[], ground: string}} colors
 * @param {number} edge in device pixels
 * @returns {HTMLCanvasElement}
 */
export function spriteOf(colors, edge) {
  const canvas = document.createElement("canvas");
  canvas.width = edge * STATES.length;
  canvas.height = edge;
  const context = canvas.getContext("2d");
  for (let state = 0; state < STATES.length; state += 1) drawMark(context, state, colors, state * edge, 0, edge);
  return canvas;
}

// The runs of a job over time, drawn on a canvas while it is open, and the same in words.

import { h } from "../dom.js";
import { duration, plural, timeText } from "../format.js";
import { link } from "../router.js";
import { FINISHED, RUNNING } from "./model.js";
import { colorsOf } from "./palette.js";
import { ROWS, areaOf, rowsOf, summaryOf } from "./spans.js";

const AREA_HEIGHT = 230;
const STRIP = 20;
const ROW_HEIGHT = 14;
const NAME_WIDTH = 150;
const NARROW = 500;
/** It is computed from all runs, so not more often than this. */
const REDRAW_EVERY = 1_000;

/**
 * Makes the timeline, closed; closed it costs nothing.
 * @param {object} host
 * @param {() => import("./model.js").JobModel} host.model
 * @param {(name: string) => string} host.addressOf where a node's panel is
 * @param {() => number} host.clock the service's clock
 * @returns {{element: HTMLElement, update: () => void, recolor: () => void, close: () => void}}
 */
export function jobTimeline({ model, addressOf, clock }) {
  const canvas = h("canvas", { class: "timeline-canvas", "aria-hidden": "true" });
  const words = h("p", { class: "timeline-words", id: "timeline-words" });
  const longest = h("ol", { class: "timeline-longest" });
  const legend = h("p", { class: "quiet small" }, "The area is how many ran; in the strip under it, starts stand above the line and ends below.");
  const room = h("div", { class: "timeline-room" }, canvas);
  const element = h(
    "details",
    { class: "job-timeline" },
    h("summary", {}, h("h2", {}, "Timeline")),
    words,
    room,
    legend,
    h("h3", {}, "Longest runs"),
    longest,
  );
  let drawn = 0;
  let width = 0;

  function draw() {
    if (!element.open) return;
    drawn = performance.now();
    const job = model();
    const now = clock();
    const summary = summaryOf(job, now);
    say(job, summary);
    width = room.clientWidth;
    if (width > 0) paint(job, now, summary);
  }

  function say(job, summary) {
    if (summary.started === 0) {
      words.textContent = "No run has begun.";
      longest.replaceChildren();
      return;
    }
    const median = summary.median === null ? "" : ` Half of the runs took ${duration(summary.median / 1000)} or less.`;
    words.textContent = `${plural(summary.started, "run")} from ${timeText(summary.from)} on, over ${duration((summary.to - summary.from) / 1000)}; at most ${summary.peak} at once.${median}`;
    const item = ({ at, time: took }) => h("li", {}, link(addressOf(job.names[at]), job.names[at]), ` ${duration(took / 1000)}`, job.finished[at] > 0 ? "" : " so far");
    // Whoever has the focus on one of the links keeps it.
    if (!longest.contains(document.activeElement)) longest.replaceChildren(...summary.longest.map(item));
  }

  function paint(job, now, summary) {
    const colors = colorsOf(element);
    const rows = summary.started <= ROWS ? rowsOf(job, now) : null;
    legend.hidden = rows !== null;
    const height = rows === null ? AREA_HEIGHT : Math.max(1, rows.length) * ROW_HEIGHT + 20;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = `11px ${getComputedStyle(element).fontFamily}`;
    if (rows === null) paintArea(context, areaOf(job, now, Math.max(1, Math.floor(width / 2))), width, height, colors);
    else paintRows(context, job, rows, summary, width, height, colors);
  }

  const watcher = new ResizeObserver(() => {
    if (room.clientWidth !== width) draw();
  });
  watcher.observe(room);
  element.addEventListener("toggle", draw);
  return {
    element,
    update: () => performance.now() - drawn >= REDRAW_EVERY && draw(),
    recolor: draw,
    close: () => watcher.disconnect(),
  };
}

/** The area of how many ran; under it a strip with the starts above its line and the ends below. */
function paintArea(context, area, width, height, colors) {
  const base = height - 70;
  const strip = height - 45;
  const top = 14;
  const scale = (base - top) / Math.max(1, area.peak);
  const slices = area.running.length;
  const step = width / slices;
  context.fillStyle = colors.states[RUNNING];
  context.beginPath();
  context.moveTo(0, base);
  for (let slice = 0; slice < slices; slice += 1) {
    const y = base - area.running[slice] * scale;
    context.lineTo(slice * step, y);
    context.lineTo((slice + 1) * step, y);
  }
  context.lineTo(width, base);
  context.fill();
  const most = area.starts.reduce((a, b) => Math.max(a, b), area.ends.reduce((a, b) => Math.max(a, b), 1));
  for (let slice = 0; slice < slices; slice += 1) {
    context.fillStyle = colors.states[RUNNING];
    context.fillRect(slice * step, strip, step, -(area.starts[slice] / most) * STRIP);
    context.fillStyle = colors.states[FINISHED];
    context.fillRect(slice * step, strip + 1, step, (area.ends[slice] / most) * STRIP);
  }
  context.fillStyle = colors.ink;
  context.fillText(`${area.peak} at once`, 2, 10);
  axis(context, area, 0, width, height, colors);
}

function paintRows(context, job, rows, span, width, height, colors) {
  const left = width < NARROW ? 0 : NAME_WIDTH;
  const room = width - left;
  const scale = room / Math.max(1, span.to - span.from);
  rows.forEach(({ at, from, to }, row) => {
    const y = row * ROW_HEIGHT;
    context.fillStyle = colors.states[job.state[at]];
    context.fillRect(left + (from - span.from) * scale, y + 2, Math.max(2, (to - from) * scale), ROW_HEIGHT - 4);
    if (left === 0) return;
    context.fillStyle = colors.ink;
    context.fillText(fitting(context, job.names[at], left - 8), 0, y + ROW_HEIGHT - 4);
  });
  axis(context, span, left, width, height, colors);
}

function axis(context, span, left, width, height, colors) {
  context.fillStyle = colors.line;
  context.fillRect(left, height - 20, width - left, 1);
  context.fillStyle = colors.ink;
  context.textAlign = "left";
  context.fillText(timeText(span.from), left, height - 6);
  context.textAlign = "right";
  context.fillText(`+${duration((span.to - span.from) / 1000)}`, width, height - 6);
  context.textAlign = "left";
}

/** The text, cut in the middle where it is too wide: the ends of names tell them apart. */
function fitting(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let keep = text.length - 1;
  while (keep > 2 && context.measureText(cut(text, keep)).width > width) keep -= 1;
  return cut(text, keep);
}

function cut(text, keep) {
  const head = Math.ceil(keep / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (keep - head))}`;
}

// How far the job is: counts, percent, rate, time left, what holds it back, causes, levels.

import { h, setText } from "../dom.js";
import { count, duration, timeText } from "../format.js";
import { bindingText } from "./causes.js";
import { ERRORED, FAILED, FINISHED, NEW, READY, RUNNING, SKIPPED, STATES } from "./model.js";
import { nodesPerSecond, secondsLeft } from "./rate.js";
import { causeText, dotOf, stateText } from "./words.js";

const UNKNOWN = "—";
/** The bar fills from the left: what is over comes first. */
const ORDER = [FINISHED, FAILED, ERRORED, SKIPPED, RUNNING, READY, NEW].map((state) => STATES[state]);

/**
 * Makes the summary.
 * @param {() => import("./model.js").JobModel} model
 * @param {() => number} clock the service's clock
 * @returns {{element: HTMLElement, update: () => void, tick: () => void}}
 */
export function jobSummary(model, clock) {
  const percent = h("strong", { class: "percent" });
  const done = h("span", { class: "done" });
  const bar = h("div", { class: "job-bar", role: "progressbar", "aria-label": "Nodes that are over", "aria-valuemin": "0", "aria-valuemax": "100" });
  const parts = ORDER.map((name) => bar.appendChild(h("span", { class: `part state-${name}` })));
  const facts = {};
  const titles = {};
  const fact = (key, title) => {
    facts[key] = h("dd", {});
    titles[key] = h("dt", {}, title);
    return h("div", {}, titles[key], facts[key]);
  };
  const figures = h("dl", { class: "figures" }, fact("elapsed", "Elapsed"), fact("rate", "Rate"), fact("left", "Time left"), fact("running", "Running now"));
  const binding = h("p", { class: "binding", role: "status" });
  const causes = h("ul", { class: "causes", "aria-label": "Causes" });
  const levels = h("div", { class: "levels" });
  const heading = h("h2", { class: "visually-hidden", id: "progress-heading" }, "Progress");
  const head = h("div", { class: "progress-head" }, percent, done);
  const element = h("section", { class: "job-summary", "aria-labelledby": "progress-heading" }, heading, head, bar, figures, binding, causes, levels);
  let levelRows = [];

  function update() {
    const job = model();
    const counts = job.countsByState();
    setText(percent, `${job.percent} %`);
    setText(done, `${count(job.done)} of ${count(job.size)} nodes are over`);
    bar.setAttribute("aria-valuenow", String(job.percent));
    bar.setAttribute("aria-valuetext", STATES.filter((name) => counts[name] > 0).map((name) => `${counts[name]} ${stateText(name)}`).join(", "));
    ORDER.forEach((name, place) => {
      parts[place].style.flexGrow = String(counts[name]);
      parts[place].hidden = counts[name] === 0;
    });
    setText(facts.running, count(job.counts[RUNNING]));
    const seen = job.countsByCause();
    const text = seen.map((one) => `${one.cause} ${one.count}`).join();
    if (causes.dataset.text !== text) {
      causes.dataset.text = text;
      causes.replaceChildren(...seen.map((one) => h("li", {}, h("b", {}, count(one.count)), ` ${causeText(one.cause)}`)));
    }
    causes.hidden = seen.length === 0;
    drawLevels(job);
    tick();
  }

  function drawLevels(job) {
    levels.hidden = job.levels < 2;
    if (levels.hidden) return;
    if (levelRows.length !== job.levels) {
      levelRows = Array.from({ length: job.levels }, (_, level) => levelRow(level));
      levels.replaceChildren(h("h3", {}, "Order"), h("ol", { class: "level-list" }, levelRows.map(({ element: row }) => row)));
    }
    levelRows.forEach((row, level) => row.fill(job.levelCounts.subarray(level * STATES.length, (level + 1) * STATES.length)));
  }

  function tick() {
    const job = model();
    const now = clock();
    const begun = Date.parse(job.job.started_timestamp ?? job.job.timestamp);
    const end = job.ended ? (Date.parse(job.job.finished_timestamp ?? "") || job.endedAt || job.lastAt) : now;
    // The job's own times are whole seconds; those of its nodes say more of a short one.
    const elapsed = Math.max(0, end - begun, job.ended ? job.lastAt - job.firstStart : 0);
    setText(facts.elapsed, Number.isNaN(begun) ? UNKNOWN : duration(elapsed / 1000));
    setText(titles.elapsed, job.ended ? "Took" : "Elapsed");
    for (const key of ["rate", "left", "running"]) facts[key].parentElement.hidden = job.ended;
    const rate = job.ended ? null : nodesPerSecond(job, now);
    setText(facts.rate, rate === null ? UNKNOWN : rate >= 1 ? `${rate.toFixed(1)} nodes/s` : `${(rate * 60).toFixed(1)} nodes/min`);
    const left = secondsLeft(job, now);
    setText(facts.left, left === null ? UNKNOWN : `about ${rough(left)}`);
    facts.left.title = left === null ? "It is not known yet, or does not follow from the rate" : "By the rate of the last minute";
    const words = job.ended || job.waiting === 0 ? "" : [bindingText(job.live?.binding), awayText(job.live?.away_until)].filter(Boolean).join(" ");
    setText(binding, words);
    binding.hidden = words === "";
  }

  return { element, update, tick };
}

function levelRow(level) {
  const parts = ORDER.map((name) => h("span", { class: `part state-${name}` }));
  const words = h("span", { class: "level-words" });
  const element = h("li", {}, h("span", { class: "level-name" }, level === 0 ? "at once" : `level ${level + 1}`), h("span", { class: "level-bar", "aria-hidden": "true" }, parts), words);
  return {
    element,
    fill(counts) {
      const waiting = counts[0] + counts[1];
      parts.forEach((part, place) => {
        const number = counts[STATES.indexOf(ORDER[place])];
        part.style.flexGrow = String(number);
        part.hidden = number === 0;
      });
      const said = STATES.map((name, state) => (state > 1 && counts[state] > 0 ? `${count(counts[state])} ${stateText(name)}` : "")).filter(Boolean);
      if (waiting > 0) said.unshift(`${count(waiting)} waiting`);
      setText(words, said.join(", "));
    },
  };
}

/** An estimate is not known to the second. */
function rough(seconds) {
  if (seconds < 10) return "10 s";
  if (seconds < 90) return `${Math.ceil(seconds / 10) * 10} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function awayText(until) {
  return until ? `Those that are not connected are given up at ${timeText(until)}.` : "";
}

/**
 * The legend, which is also the filter by state.
 * @param {() => import("./model.js").JobModel} model
 * @param {(name: string) => void} toggle
 * @returns {{element: HTMLElement, update: (chosen: Set<string>) => void}}
 */
export function legend(model, toggle) {
  const names = ["waiting", ...STATES.slice(RUNNING)];
  const chips = names.map((name) => {
    const number = h("b", {});
    const button = h("button", { type: "button", class: "chip", "aria-pressed": "false", "data-state": name }, dotOf(name), h("span", {}, stateText(name)), number);
    button.addEventListener("click", () => toggle(name));
    return { name, button, number };
  });
  const element = h("div", { class: "legend", role: "group", "aria-label": "Show nodes by state" }, chips.map(({ button }) => button));
  return {
    element,
    update(chosen) {
      const counts = model().countsByState();
      counts.waiting = counts.new + counts.ready;
      for (const { name, button, number } of chips) {
        setText(number, count(counts[name]));
        button.setAttribute("aria-pressed", String(chosen.has(name)));
        button.classList.toggle("none", counts[name] === 0);
      }
    },
  };
}

// Times, durations, numbers, states and causes as people read them.

import { h } from "./dom.js";

const STATES = {
  new: "new",
  ready: "ready",
  running: "running",
  finished: "finished",
  failed: "failed",
  errored: "errored",
  skipped: "skipped",
  stopping: "stopping",
  stopped: "stopped",
  success: "succeeded",
  failure: "failed",
};

/** Why a node did not finish: in words, and what that means for who looks. */
const CAUSES = {
  not_connected: ["not connected", "Its agent was not connected in time, so nothing was done. Look whether the node and its agent run."],
  undeliverable: ["not delivered", "The request never reached the agent and was not sent again; nothing was done. It can be run again."],
  refused_by_agent: ["refused by the agent", "The agent cannot do what was asked, so nothing was done. Its message says what it lacks."],
  refused_by_policy: ["refused by policy", "The node's own policy forbids it, so nothing was done. Ask who keeps the policy."],
  locked: ["locked", "Another Puppet run held the lock for too long. Run it again when that one is over."],
  disabled: ["disabled", "The Puppet agent is disabled on the node. Enable it there, then run it again."],
  run_failed: ["run failed", "The run took place and failed. Its output and its report say where."],
  task_files_unreachable: ["no task files", "The agent could not fetch the files of the task, so nothing was done. Look at its connection to port 8143."],
  timed_out: ["timed out", "It took longer than it may. It may still run there; look before you run it again."],
  contact_lost: ["contact lost", "The agent went away during the run and did not come back in time. The run may still go on, or be done."],
  outcome_unknown: ["outcome unknown", "The agent does not know how the run ended. Look at the node before you run it again."],
  abandoned: ["abandoned", "It was ended by force without the agent's word. It may still run there."],
  stopped_by_force: ["stopped by force", "It was ended by force half-way, and the agent has confirmed it."],
  dependency_failed: ["dependency failed", "A node that it depends on did not finish, so it was not begun."],
  job_stopped: ["job stopped", "The job was stopped before its turn came; nothing was done."],
  job_timed_out: ["job timed out", "The job's time was over before its turn came; nothing was done."],
  job_broken: ["job broken", "The job could not be carried on. The service's log says why."],
};

/**
 * A state in words.
 * @param {string} state of a job or a node
 * @returns {string}
 */
export function stateLabel(state) {
  return STATES[state] ?? state;
}

/**
 * A cause in words.
 * @param {string|null} cause
 * @returns {string} "" for none
 */
export function causeLabel(cause) {
  return cause ? (CAUSES[cause]?.[0] ?? cause.replaceAll("_", " ")) : "";
}

/**
 * What a cause means and what to do, in a sentence or two.
 * @param {string|null} cause
 * @returns {string} "" for one that is not known
 */
export function causeHelp(cause) {
  return CAUSES[cause]?.[1] ?? "";
}

/**
 * A number with separators.
 * @param {number} n
 * @returns {string}
 */
export function count(n) {
  return Number(n).toLocaleString("en-US");
}

/**
 * A number and its noun.
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 * @returns {string} "1 node", "2,000 nodes"
 */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/**
 * A duration in its two largest units.
 * @param {number|null} seconds
 * @returns {string} "4.2 s", "3 min 05 s"; "–" for null
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

function two(n) {
  return String(n).padStart(2, "0");
}

/**
 * A local time: of today the time alone, of other days the date as well.
 * @param {string|number} ts as the API has it, or milliseconds since 1970
 * @returns {string}
 */
export function timeText(ts) {
  const at = new Date(ts);
  if (Number.isNaN(at.getTime())) return "–";
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (at.toDateString() === new Date().toDateString()) return `${clock}:${two(at.getSeconds())}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

/**
 * How long ago a time is, or how far ahead.
 * @param {number} milliseconds until now; negative for times that come
 * @returns {string}
 */
export function ageText(milliseconds) {
  const seconds = Math.abs(milliseconds) / 1000;
  const past = milliseconds >= 0;
  if (seconds < 5) return "just now";
  const text = seconds < 60 ? `${Math.floor(seconds)} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} days`;
  return past ? `${text} ago` : `in ${text}`;
}

function utc(at) {
  return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/**
 * A local time with UTC in its title.
 * @param {string|number|null} ts
 * @returns {HTMLElement} a `<time>`
 */
export function time(ts) {
  const at = new Date(ts ?? NaN);
  if (Number.isNaN(at.getTime())) return h("span", { class: "muted" }, "–");
  return h("time", { datetime: at.toISOString(), title: utc(at) }, timeText(ts));
}

/**
 * A sentence of the service as people read it: with a capital, and with times of their own zone.
 * @param {string} text
 * @returns {(string|HTMLElement)[]}
 */
export function sentence(text) {
  const parts = text.split(/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/);
  const first = parts[0].slice(0, 1).toUpperCase() + parts[0].slice(1);
  return [first, ...parts.slice(1).map((part, at) => (at % 2 === 0 ? time(part) : part))];
}

/**
 * How long ago a time is; it goes on by itself.
 * @param {string|number|null} ts
 * @returns {HTMLElement} a `<time>`
 */
export function age(ts) {
  const at = new Date(ts ?? NaN);
  if (Number.isNaN(at.getTime())) return h("span", { class: "muted" }, "–");
  return h("time", { datetime: at.toISOString(), title: `${timeText(ts)} · ${utc(at)}`, "data-tick": "age" }, ageText(Date.now() - at.getTime()));
}

/**
 * How long something takes that began at a time and has not ended; it goes on by itself.
 * @param {string|number|null} since
 * @returns {HTMLElement}
 */
export function elapsed(since) {
  const at = new Date(since ?? NaN);
  if (Number.isNaN(at.getTime())) return h("span", { class: "muted" }, "–");
  return h("time", { datetime: at.toISOString(), title: `since ${utc(at)}`, "data-tick": "elapsed" }, elapsedText(at));
}

function elapsedText(at) {
  const seconds = Math.max(0, Math.round((Date.now() - at.getTime()) / 1000));
  return seconds < 60 ? `${seconds} s` : duration(seconds);
}

/** One timer for all ages of the page; a hidden page has none. */
let timer = 0;
function tick() {
  const now = Date.now();
  const elements = /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll("time[data-tick][datetime]"));
  for (const element of elements) {
    const at = new Date(element.dateTime);
    const text = element.dataset.tick === "age" ? ageText(now - at.getTime()) : elapsedText(at);
    if (element.textContent !== text) element.textContent = text;
  }
}
function keepTime() {
  clearInterval(timer);
  if (document.hidden) return;
  tick();
  timer = setInterval(tick, 1000);
}
if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", keepTime);
  keepTime();
}

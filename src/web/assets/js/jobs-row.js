// One job in the list: what it is, how it stands, and how it is kept up to date without losing the focus.

import { h, replace } from "./dom.js";
import { age, causeLabel, count, duration, elapsed, plural } from "./format.js";
import { groupName } from "./groups.js";
import { link } from "./router.js";
import { badge, stateBar, tableRow } from "./ui.js";

const OVER = new Set(["finished", "failed", "stopped"]);

/**
 * Whether nothing leaves this state.
 * @param {string} state of a job
 * @returns {boolean}
 */
export function isOver(state) {
  return OVER.has(state);
}

/**
 * What a job does, in a few words.
 * @param {any} job as the API has it
 * @returns {string}
 */
export function whatOf(job) {
  const options = job.options ?? {};
  const what = job.type === "task" ? (options.task ?? "task") : job.type === "deploy" ? "Puppet run" : job.type;
  return options.noop ? `${what} (noop)` : what;
}

/**
 * Which nodes a job or a schedule is for, in a few words.
 * @param {any} options of a job, or the input of a schedule
 * @param {number} [size] how many nodes there are: long lists come shortened
 * @returns {string}
 */
export function targetOf(options, size) {
  const scope = options?.scope ?? {};
  if (scope.nodes) return namesText(scope.nodes, Math.max(scope.nodes.length, size ?? 0));
  if (scope.application) return `application ${scope.application}`;
  if (scope.node_group) return `group ${scope.node_group}`;
  if (scope.query) return `query ${typeof scope.query === "string" ? scope.query : JSON.stringify(scope.query)}`;
  if (options?.target) return `application ${options.target}`;
  return "the whole environment";
}

/**
 * The line below what a job or a schedule does: what for, and on which nodes.
 * @param {string|undefined} description
 * @param {any} options of a job, or the input of a schedule
 * @param {number} [size] how many nodes there are
 * @returns {HTMLElement}
 */
export function aboutLine(description, options, size) {
  const element = h("span", { class: "muted clip" });
  const write = (target) => {
    element.textContent = description ? `${description} · ${target}` : target;
    element.title = element.textContent;
  };
  write(targetOf(options, size));
  const group = options?.scope?.node_group;
  if (typeof group === "string") groupName(group).then((name) => write(`group ${name}`));
  return element;
}

function namesText(names, size) {
  if (names.length === 0) return "no nodes";
  if (size <= 2 && names.length === size) return names.join(", ");
  return `${names[0]} and ${plural(size - 1, "other node")}`;
}

const COLUMNS = [
  { key: "number", title: "Job", cell: () => null },
  { key: "what", title: "", cell: () => null },
  { key: "state", title: "", cell: () => null },
  { key: "nodes", title: "", cell: () => null },
  { key: "owner", title: "Owner", cell: () => null },
  { key: "environment", title: "Environment", cell: () => null },
  { key: "age", title: "Started", cell: () => null, class: "nowrap" },
  { key: "duration", title: "Duration", cell: () => null, class: "right nowrap" },
];

/** The titles of the columns, for the head of the table. */
export const JOB_COLUMNS = COLUMNS.map((column) => ({ ...column, title: { what: "What", state: "State", nodes: "Nodes" }[column.key] ?? column.title }));

/**
 * A row of the list.
 * @param {any} job
 * @returns {{element: HTMLTableRowElement, job: any, update: (job: any) => void}}
 */
export function jobRow(job) {
  const element = tableRow(COLUMNS, job, { class: "job-row", "data-job": job.name });
  const cell = (key) => element.querySelector(`[data-key="${key}"]`);
  const cells = Object.fromEntries(COLUMNS.map(({ key }) => [key, cell(key)]));
  replace(cells.number, h("span", { class: "job-number" }, job.name));
  replace(cells.what, h("div", { class: "job-what" }, link(`/jobs/${job.name}`, { class: "row-link" }, h("span", { class: "visually-hidden" }, `Job ${job.name}: `), whatOf(job)), aboutLine(job.description, job.options, job.node_count)));
  replace(cells.owner, h("span", { class: "clip" }, job.owner?.display_name || job.owner?.login));
  replace(cells.environment, job.environment?.name ? h("span", { class: "clip" }, job.environment.name) : h("span", { class: "muted" }, "none"));
  const row = { element, job: null, update };
  const drawn = {};

  function draw(key, sign, make) {
    if (drawn[key] === sign) return;
    drawn[key] = sign;
    replace(cells[key], make());
  }

  function update(next) {
    row.job = next;
    const begun = next.started_timestamp ?? next.timestamp;
    draw("state", next.state, () => badge(next.state));
    draw("nodes", JSON.stringify([next.node_states, next.node_count, next.causes]), () => progress(next));
    draw("age", begun, () => age(begun));
    draw("duration", `${isOver(next.state)} ${next.duration}`, () => (isOver(next.state) ? duration(next.duration) : next.started_timestamp ? elapsed(next.started_timestamp) : "–"));
  }

  update(job);
  return row;
}

function progress(job) {
  const states = job.node_states ?? {};
  const sum = (names) => names.reduce((total, name) => total + (states[name] ?? 0), 0);
  const done = sum(["finished", "failed", "errored", "skipped"]);
  const wrong = ["failed", "errored", "skipped"].filter((state) => states[state] > 0).map((state) => h("span", { class: `count-${state}` }, `${count(states[state])} ${state}`));
  const causes = Object.entries(job.causes ?? {}).map(([cause, n]) => `${count(n)} ${causeLabel(cause)}`);
  const how = isOver(job.state) || done === job.node_count ? plural(job.node_count, "node") : `${count(done)} of ${count(job.node_count)}`;
  return h("div", { class: "job-progress" }, stateBar(states, job.node_count), h("div", { class: "job-counts small", title: causes.join(", ") }, h("span", { class: "muted" }, how), wrong));
}

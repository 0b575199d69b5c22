// What one may be asked before a job is stopped, ended by force or run again.

import { h } from "../dom.js";
import { plural } from "../format.js";
import { retryable } from "./model.js";

/** What `retry` may be asked for, as in the API; "" is its default. */
const CHOICES = [
  { which: "", key: "unfinished", title: "What failed or did not run", about: "Known not to have been done." },
  { which: "failed", key: "failed", title: "Only what failed", about: "The run took place and failed." },
  { which: "not_run", key: "not_run", title: "Only what did not run", about: "The run never took place." },
  { which: "unknown", key: "unknown", title: "What nobody knows", about: "It may have been done already, or may still go on. Look first." },
  { which: "all", key: "all", title: "All nodes", about: "Also those that finished." },
];

/**
 * What a stop does.
 * @param {import("./model.js").JobModel} model
 * @returns {HTMLElement}
 */
export function stopText(model) {
  return h(
    "div",
    {},
    h("p", {}, `${nodes(model.waiting)} that ${model.waiting === 1 ? "waits" : "wait"} will never start. ${nodes(model.counts[2])} that ${model.counts[2] === 1 ? "runs" : "run"} will finish.`),
    h("p", {}, "A stop cannot be taken back."),
  );
}

/**
 * What force can end, and what it cannot.
 * @param {import("./model.js").JobModel} model
 * @returns {HTMLElement}
 */
export function forceText(model) {
  return h(
    "div",
    {},
    h("p", {}, `${nodes(model.counts[2])} ${model.counts[2] === 1 ? "runs" : "run"} now. What has not started never starts.`),
    h(
      "ul",
      {},
      h("li", {}, "Where bunraku's own agent runs, the run is ended, and shows as ended by force once the agent confirms it."),
      h("li", {}, "A pxp-agent cannot end a run. Such a node shows as abandoned, and Puppet or the task may go on there."),
    ),
    h("p", {}, "A run that is ended half-way leaves the node as it is at that moment."),
  );
}

/**
 * What it means that a restored job goes on.
 * @returns {HTMLElement}
 */
export function resumeText() {
  return h("p", {}, "It came back with a backup. What was begun after the backup was made is not known here: nodes that start now may run a second time.");
}

/**
 * The choice of what runs again.
 * @param {import("./model.js").JobModel} model
 * @returns {{element: HTMLElement, chosen: () => string|null}}
 */
export function retryChoice(model) {
  const counts = retryable(model);
  const first = CHOICES.find(({ key }) => counts[key] > 0);
  const inputs = CHOICES.map(({ which, key }) => {
    const input = h("input", { type: "radio", name: "which", value: which, id: `retry-${key}` });
    input.disabled = counts[key] === 0;
    input.checked = key === first?.key;
    return input;
  });
  const row = ({ key, title, about }, at) =>
    h(
      "div",
      { class: `choice${counts[key] === 0 ? " none" : ""}` },
      inputs[at],
      h("label", { for: `retry-${key}` }, `${title} (${counts[key]})`, h("span", { class: "quiet" }, about)),
    );
  const element = h("fieldset", { class: "choices" }, h("legend", {}, "Which nodes"), CHOICES.map(row));
  return { element, chosen: () => inputs.find(({ checked }) => checked)?.value ?? null };
}

/**
 * The call that gives what is on the screen, for a shell.
 * @param {string} origin
 * @param {string} job
 * @param {{states: Set<string>}} filter
 * @param {string|null} node whose panel is open
 * @returns {string}
 */
export function curlFor(origin, job, filter, node) {
  const head = `curl -sS -H "X-Authentication: $TOKEN"`;
  if (node !== null) return `${head} '${origin}/bunraku/v1/jobs/${job}/nodes/${encodeURIComponent(node)}'`;
  const states = [...filter.states].filter((name) => name !== "waiting");
  if (states.length === 1) return `${head} '${origin}/orchestrator/v1/jobs/${job}/nodes?state=${states[0]}'`;
  if (states.length > 1 || filter.cause !== "" || filter.text !== "") return `${head} '${origin}/orchestrator/v1/jobs/${job}/nodes'`;
  return `${head} '${origin}/orchestrator/v1/jobs/${job}'`;
}

const nodes = (number) => plural(number, "node");

// Everything about one node of the job: beside the page, or over it on a small screen.

import { get } from "../api.js";
import { h } from "../dom.js";
import { causeHelp, count, duration, time, timeText } from "../format.js";
import { link } from "../router.js";
import { button, copyable, errorBox } from "../ui.js";
import { STATES } from "./model.js";
import { badgeOf, causeText } from "./words.js";

/** Longer output is cut on the page; the API has all of it. */
const MOST_OUTPUT = 200_000;
const MOST_RESOURCES = 500;
/** Stands where the agent has taken a value out. */
const CUT = "[cut]";

/**
 * Makes the panel, closed.
 * @param {string} job
 * @param {() => void} close called when somebody closes it
 * @returns {{element: HTMLElement, open: (name: string) => Promise<void>, hide: () => void, changed: (name: string) => void, name: () => string|null}}
 */
export function nodePanel(job, close) {
  const heading = h("h2", { id: "panel-heading", tabindex: "-1" });
  const shut = button("Close", { icon: "close", onclick: close });
  const content = h("div", { class: "panel-content" });
  const element = h("aside", { class: "node-panel", "aria-labelledby": "panel-heading" }, h("header", {}, heading, shut), content);
  element.hidden = true;
  let name = null;
  let turn = 0;
  let stale = false;
  let loading = false;
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });

  async function open(wanted, focus = true) {
    name = wanted;
    element.hidden = false;
    heading.textContent = wanted;
    content.replaceChildren(h("p", { class: "quiet" }, "Reading …"));
    if (focus) heading.focus();
    await load();
  }

  async function load() {
    const mine = ++turn;
    loading = true;
    stale = false;
    try {
      const node = await get(`/bunraku/v1/jobs/${job}/nodes/${encodeURIComponent(name)}`);
      if (mine === turn) content.replaceChildren(...partsOf(node));
    } catch (error) {
      if (mine === turn) content.replaceChildren(errorBox(error, load));
    }
    if (mine !== turn) return;
    loading = false;
    // It changed while it was read.
    if (stale) await load();
  }

  return {
    element,
    open,
    hide() {
      turn += 1;
      name = null;
      element.hidden = true;
      content.replaceChildren();
    },
    changed(which) {
      if (which !== name) return;
      if (loading) stale = true;
      else load();
    },
    name: () => name,
  };
}

function partsOf(node) {
  const state = STATES.indexOf(node.state);
  return [
    h("p", { class: "panel-state" }, badgeOf(state), node.cause ? h("span", { class: "cause" }, causeText(node.cause)) : ""),
    node.cause ? h("p", {}, causeHelp(node.cause)) : "",
    node.details?.message ? h("p", { class: "message" }, node.details.message) : "",
    whyOf(node),
    timing(node),
    output(node.result),
    metrics(node.details?.metrics ?? node.result?.metrics),
    resources(node),
    late(node.late),
    eventsOf(node.events ?? []),
    h("p", {}, link(`/nodes/${encodeURIComponent(node.name)}`, "All about this node")),
  ].filter((part) => part !== "");
}

function part(title, ...content) {
  return h("section", { class: "panel-part" }, h("h3", {}, title), ...content);
}

function whyOf(node) {
  const summary = node.why?.summary;
  if (!summary) return "";
  // What the node's own message says already is not said again.
  const known = `${summary} ${node.details?.message ?? ""}`;
  const reasons = (node.why.reasons ?? []).map(({ text }) => text).filter((text) => text && !known.includes(text));
  return part("Why", h("p", {}, summary), reasons.length > 0 ? h("ul", {}, reasons.map((text) => h("li", {}, text))) : "");
}

function timing(node) {
  const rows = [
    ["Started", node.start_timestamp && time(node.start_timestamp)],
    ["Ended", node.finish_timestamp && time(node.finish_timestamp)],
    ["Took", node.duration !== null && node.duration !== undefined ? duration(node.duration) : null],
    ["Runs for", node.details?.["run-time"] !== undefined ? duration(node.details["run-time"]) : null],
    ["Level", node.level > 0 ? String(node.level + 1) : null],
    ["Report", node.transaction_uuid],
    ["Configuration", node.details?.configuration_version],
  ].filter(([, value]) => value);
  if (rows.length === 0) return "";
  return part("Timing", h("dl", { class: "pairs" }, rows.map(([title, value]) => h("div", {}, h("dt", {}, title), h("dd", {}, value)))));
}

function output(result) {
  if (result === null || result === undefined) return "";
  const parts = [];
  const error = result._error;
  if (error) {
    parts.push(h("p", { class: "message" }, error.msg ?? ""), h("p", { class: "quiet" }, error.kind ?? ""));
    if (error.details && Object.keys(error.details).length > 0) parts.push(block("Details of the error", error.details));
  }
  if (result._pruned) parts.push(h("p", {}, "What it answered was older than the service keeps it, and was removed."));
  if (typeof result._output === "string") parts.push(block("Output", result._output));
  const rest = Object.fromEntries(Object.entries(result).filter(([key]) => !OWN.has(key)));
  if (!("metrics" in result) && Object.keys(rest).length > 0) parts.push(block("Answer", rest));
  return parts.length === 0 ? "" : part(error ? "Error" : "Result", ...parts);
}

const OWN = new Set(["_error", "_output", "_pruned"]);

function block(label, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cut = text.length > MOST_OUTPUT;
  const shown = copyable(cut ? text.slice(0, MOST_OUTPUT) : text);
  shown.classList.add("output");
  shown.firstChild.setAttribute("aria-label", label);
  return h("div", {}, shown, cut ? h("p", { class: "quiet" }, `The first ${count(MOST_OUTPUT)} of ${count(text.length)} characters; the API has all of them.`) : "");
}

function metrics(values) {
  if (!values || Object.keys(values).length === 0) return "";
  const cell = ([name, value]) => h("div", { class: value > 0 ? "" : "none" }, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, String(value)));
  return part("Resources", h("dl", { class: "metrics" }, Object.entries(values).map(cell)));
}

function resources(node) {
  if (node.events_error) return part("Changes", h("p", { class: "trouble" }, node.events_error));
  const events = node.resource_events ?? [];
  if (events.length === 0) return "";
  const item = (event) =>
    h(
      "li",
      { class: `resource resource-${event.status}` },
      h("p", {}, h("code", {}, `${event.resource_type}[${event.resource_title}]`), event.property ? ` ${event.property}` : "", " ", h("b", {}, event.status ?? "")),
      changeOf(event),
      event.message && event.message !== CUT ? h("p", { class: "quiet" }, event.message) : "",
    );
  const more = events.length > MOST_RESOURCES ? h("p", { class: "quiet" }, `and ${events.length - MOST_RESOURCES} more`) : "";
  return part("Changes", h("ul", { class: "resources" }, events.slice(0, MOST_RESOURCES).map(item)), more);
}

function changeOf({ old_value: before, new_value: after }) {
  if (before === undefined && after === undefined) return "";
  // The agent does not send what looks like the content of a file.
  if (before === CUT || after === CUT) return h("p", { class: "quiet" }, "The content stays on the node.");
  const text = (value) => (value === null || value === undefined ? "—" : typeof value === "string" ? value : JSON.stringify(value));
  return h("p", { class: "change" }, h("del", {}, text(before)), " ", h("ins", {}, text(after)));
}

function late(word) {
  if (!word) return "";
  return part(
    "The agent's late word",
    h("p", {}, `${timeText(word.timestamp)}: it would have been ${word.state}${word.cause ? ` (${causeText(word.cause)})` : ""}.`),
    word.message ? h("p", { class: "message" }, word.message) : "",
  );
}

function eventsOf(events) {
  if (events.length === 0) return "";
  const item = (event) => h("li", {}, h("span", { class: "quiet" }, time(event.timestamp)), " ", event.message);
  return part("Events", h("ol", { class: "events" }, events.map(item)));
}

// All nodes that are connected, or were in some job: who is there, since when, and how their last run ended.

import { get, may } from "../api.js";
import { announce, debounce, h, replace, setText } from "../dom.js";
import { ageText, causeLabel, count, plural, stateLabel, timeText } from "../format.js";
import { icon } from "../icons.js";
import { keepNodes } from "../node-set.js";
import { link, navigate, setQuery } from "../router.js";
import { keepFresh } from "../fresh.js";
import { button, emptyState, errorBox } from "../ui.js";
import { virtualList } from "../virtual.js";

/** After a change of the inventory the list is read anew, at most as often. */
const REREAD_MILLISECONDS = 5000;
const TYPE_MILLISECONDS = 120;
const JOBS_REMEMBERED = 500;
const WRONG = new Set(["failed", "errored"]);

/**
 * Tells from what a stream says whether the list of nodes is old.
 * @returns {{job: (job: {name: string, state: string, node_states?: Record<string, number>}) => boolean,
 *   inventory: (told: {connected: number, changed?: number}) => boolean}} true when it is
 */
export function changes() {
  /** Jobs that go on, as they were told last. */
  const jobs = new Map();
  let before = null;
  return {
    job({ name, state, node_states: states = null }) {
      const now = JSON.stringify([state, states]);
      if (jobs.get(name) === now) return false;
      jobs.set(name, now);
      // Of the many that were, the oldest are forgotten: at worst the list is read once too often.
      if (jobs.size > JOBS_REMEMBERED) jobs.delete(jobs.keys().next().value);
      return true;
    },
    // One that comes while another goes changes no number but `changed`, which older services do not tell.
    inventory({ connected, changed = null }) {
      const now = `${changed} ${connected}`;
      const other = before !== null && before !== now;
      before = now;
      return other;
    },
  };
}

/** Which nodes one may look at. */
const SHOWN = [
  { value: "", label: "All", test: () => true },
  { value: "connected", label: "Connected", test: (node) => node.connected },
  { value: "away", label: "Away", test: (node) => !node.connected },
  { value: "failed", label: "Last run failed", test: (node) => WRONG.has(node.last_run?.state) },
  { value: "contended", label: "Two agents", test: (node) => node.contended },
];

const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
const later = (a, b) => (b ?? "").localeCompare(a ?? "");
const SORTS = {
  name: { label: "by name", compare: byName },
  since: { label: "by latest connection", compare: (a, b) => later(a.since, b.since) || byName(a, b) },
  run: { label: "by latest run", compare: (a, b) => later(a.last_run?.timestamp, b.last_run?.timestamp) || byName(a, b) },
};

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ main, title, query, onLeave, signal }) {
  title("Nodes");
  const filter = { show: query.get("show") ?? "", text: query.get("text") ?? "", sort: query.get("sort") ?? "name" };
  let nodes = [];
  let shown = [];
  let turn = 0;
  const trouble = h("div", {});
  const empty = h("div", {});
  const summary = h("p", { class: "muted" });
  const list = virtualList({ label: "Nodes", columns: ["Node", "Connection", "Agent", "Last run"], rowHeight: () => (matchMedia("(max-width: 640px)").matches ? 92 : 46), make: nodeRow, onLeave });
  const box = h("div", { class: "table-box nodes" }, list.element);
  const tabs = SHOWN.map(({ value, label }) => {
    const n = h("span", { class: "tab-count" });
    const input = h("input", { type: "radio", name: "show", value, checked: filter.show === value, onchange: () => choose({ show: value }) });
    return { n, element: h("label", { class: "segment" }, input, h("span", {}, label, n)) };
  });
  const text = h("input", { type: "search", "aria-label": "Find nodes by name", placeholder: "Find by name", value: filter.text, autocomplete: "off", spellcheck: "false" });
  const typed = debounce(TYPE_MILLISECONDS, () => choose({ text: text.value.trim() }));
  text.addEventListener("input", typed);
  const sort = h("select", { "aria-label": "Order", value: filter.sort, onchange: () => choose({ sort: sort.value }) }, Object.entries(SORTS).map(([value, { label }]) => h("option", { value }, label)));
  const run = button("Run on these", { icon: "play", onclick: runOnShown });
  run.hidden = !(may("puppet_agent:run") || may("tasks:run"));
  replace(
    main,
    h("div", { class: "page-head" }, h("h1", {}, "Nodes"), summary),
    h("search", { class: "filters", "aria-label": "Filter nodes" }, h("div", { class: "search-box" }, icon("search"), text), h("fieldset", { class: "segments wrap" }, h("legend", { class: "visually-hidden" }, "Show"), tabs.map(({ element }) => element)), sort, run),
    trouble,
    box,
    empty,
  );

  const news = changes();
  const read = keepFresh({
    load,
    every: REREAD_MILLISECONDS,
    onLeave,
    handlers: (changed) => ({
      job: (job) => news.job(job) && changed(),
      inventory: (told) => news.inventory(told) && changed(),
    }),
  });
  onLeave(() => typed.cancel());
  await read();

  async function load() {
    const mine = ++turn;
    try {
      const { items } = await get("/bunraku/v1/nodes?known=true", { signal });
      if (mine !== turn) return;
      const first = nodes.length === 0;
      nodes = items;
      replace(trouble);
      draw();
      if (first) announce(summary.textContent);
    } catch (error) {
      if (mine === turn && error.name !== "AbortError") replace(trouble, errorBox(error, read));
    }
  }

  function choose(changes) {
    Object.assign(filter, changes);
    setQuery({ show: filter.show, text: filter.text, sort: filter.sort === "name" ? null : filter.sort });
    draw();
    announce(`${plural(shown.length, "node")} shown`);
  }

  function draw() {
    const part = filter.text.toLowerCase();
    const named = part === "" ? nodes : nodes.filter(({ name }) => name.toLowerCase().includes(part));
    SHOWN.forEach(({ test, value }, at) => {
      const n = named.reduce((sum, node) => sum + (test(node) ? 1 : 0), 0);
      setText(tabs[at].n, count(n));
      tabs[at].element.hidden = value === "contended" && n === 0 && filter.show !== value;
    });
    const { test } = SHOWN.find(({ value }) => value === filter.show) ?? SHOWN[0];
    shown = named.filter(test);
    if (filter.sort !== "name") shown = [...shown].sort((SORTS[filter.sort] ?? SORTS.name).compare);
    const connected = nodes.reduce((sum, node) => sum + (node.connected ? 1 : 0), 0);
    setText(summary, `${count(connected)} of ${plural(nodes.length, "node")} connected`);
    box.hidden = shown.length === 0;
    run.disabled = shown.length === 0;
    list.show(shown);
    if (shown.length > 0) replace(empty);
    else if (nodes.length === 0) replace(empty, emptyState("No node is connected, and none of the newest jobs had one", "Point the agents of your nodes at this service: docs/quickstart.md tells how."));
    else replace(empty, emptyState("No node matches", "Look for another name, or show all.", button("Show all nodes", { onclick: showAll })));
  }

  function showAll() {
    text.value = "";
    box.parentElement.querySelector('input[name="show"][value=""]').checked = true;
    choose({ show: "", text: "" });
    text.focus();
  }

  function runOnShown() {
    navigate(`/run?${keepNodes(shown.map(({ name }) => name))}`);
  }
}

/** A row that shows one node after another: its elements are made once, for scrolling changes them all the time. */
function nodeRow() {
  const name = link("/nodes", { class: "row-link clip mono" });
  const connection = changingBadge();
  const since = changingAge();
  const two = h("span", { class: "warn", title: "Two agents use this certname" }, icon("warn"), "two agents");
  const agent = h("div", { role: "cell", class: "muted clip" });
  const outcome = changingBadge();
  const cause = h("span", { class: "muted" });
  const job = link("/", { class: "above" });
  const at = changingAge();
  const none = h("span", { class: "muted" }, "none yet");
  const element = h(
    "div",
    { class: "virtual-row" },
    h("div", { role: "cell" }, name),
    h("div", { role: "cell" }, connection.element, since.element, two),
    agent,
    h("div", { role: "cell", class: "node-run" }, outcome.element, cause, job, at.element, none),
  );
  let shown = null;
  return {
    element,
    fill(node) {
      if (node === shown) return;
      shown = node;
      const last = node.last_run;
      setText(name, node.name);
      name.title = node.name;
      name.href = `/nodes/${encodeURIComponent(node.name)}`;
      connection.set(node.connected ? "connected" : "away");
      since.set(node.since);
      two.hidden = !node.contended;
      setText(agent, node.agent ?? "");
      outcome.set(last?.state ?? null);
      at.set(last?.timestamp ?? null);
      cause.hidden = !last?.cause;
      setText(cause, causeLabel(last?.cause ?? null));
      job.hidden = !last;
      if (last) {
        setText(job, `job ${last.job}`);
        job.href = `/jobs/${last.job}`;
      }
      none.hidden = Boolean(last);
    },
  };
}

function changingBadge() {
  const element = h("span", { class: "badge" });
  let now = "";
  return {
    element,
    set(state) {
      element.hidden = state === null;
      if (state === null || state === now) return;
      now = state;
      element.className = `badge state-${state}`;
      replace(element, icon(state), stateLabel(state));
    },
  };
}

function changingAge() {
  const element = h("time", { class: "muted", "data-tick": "age" });
  return {
    element,
    set(ts) {
      element.hidden = !ts;
      if (!ts) return;
      element.dateTime = ts;
      element.title = timeText(ts);
      setText(element, ageText(Date.now() - Date.parse(ts)));
    },
  };
}

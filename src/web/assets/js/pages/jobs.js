// All jobs, newest first, live: what changes is told by a stream, and nothing is asked again and again.

import { get, may, session } from "../api.js";
import { announce, debounce, h, replace, setText } from "../dom.js";
import { count, plural, stateLabel } from "../format.js";
import { icon } from "../icons.js";
import { JOB_COLUMNS, isOver, jobRow, whatOf } from "../jobs-row.js";
import { isFinal, pauses } from "../retry.js";
import { link, setQuery } from "../router.js";
import { stream } from "../stream.js";
import { button, countsText, emptyState, errorBox, pager, table } from "../ui.js";

const PAGE = 50;
const TYPE_MILLISECONDS = 250;
const STATES = ["new", "ready", "running", "stopping", "stopped", "finished", "failed"];
const FILTERS = ["search", "state", "type", "task", "owner", "environment"];

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ main, title, query, onLeave, signal }) {
  title("Jobs");
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  let offset = Math.max(0, Number(query.get("offset")) || 0);
  const view = { rows: new Map(), total: 0, turn: 0, loading: true, of: "" };
  const connected = link("/nodes?show=connected", { class: "muted" });
  const list = h("div", { class: "table-box jobs" });
  const pages = h("div", {});
  const trouble = h("div", {});
  const bar = filterBar(filter, change);
  replace(
    main,
    h("div", { class: "page-head" }, h("h1", {}, "Jobs"), connected),
    bar.element,
    trouble,
    list,
    pages,
  );

  const pending = new Map();
  let frame = 0;
  const live = stream("/bunraku/v1/jobs/changes", {
    handlers: {
      job: (job) => {
        pending.set(job.name, job);
        frame ||= requestAnimationFrame(flush);
      },
      inventory: ({ connected: n }) => replace(connected, h("span", { class: "dot", "aria-hidden": "true" }), `${plural(n, "node")} connected`),
    },
    // What happened while there was no connection is in the list.
    onState: (state) => state === "live" && opened++ > 0 && load(),
  });
  let opened = 0;
  onLeave(live.close);
  const search = debounce(TYPE_MILLISECONDS, () => load());
  const pause = pauses();
  let again = 0;
  onLeave(() => {
    search.cancel();
    clearTimeout(again);
  });
  await load();

  /** However many jobs change, the list is drawn once a frame; while it is being read, they wait. */
  function flush() {
    frame = 0;
    if (view.loading) return;
    for (const job of pending.values()) take(job);
    pending.clear();
  }

  function change(name, value, slowly) {
    filter[name] = value;
    offset = 0;
    setQuery({ [name]: value, offset: null });
    bar.update();
    if (slowly) search();
    else load();
  }

  async function load() {
    const mine = ++view.turn;
    clearTimeout(again);
    view.loading = true;
    list.setAttribute("aria-busy", "true");
    const params = new URLSearchParams({ limit: String(PAGE), offset: String(offset), short: "true" });
    for (const name of FILTERS) if (filter[name]) params.set(name, filter[name]);
    const asked = params.toString();
    try {
      const answer = await get(`/orchestrator/v1/jobs?${asked}`, { signal });
      if (mine !== view.turn) return;
      pause.reset();
      replace(trouble);
      show(answer);
      view.of = asked;
      view.loading = false;
      flush();
    } catch (error) {
      if (mine !== view.turn || error.name === "AbortError") return;
      replace(trouble, errorBox(error, load));
      if (!isFinal(error)) again = setTimeout(load, pause.next());
      // What is shown goes on to live, unless something else was asked for by now.
      view.loading = view.of !== asked;
      flush();
    } finally {
      if (mine === view.turn) list.removeAttribute("aria-busy");
    }
  }

  function show({ items, pagination }) {
    view.total = pagination.total ?? items.length;
    bar.learn(items);
    if (items.length === 0) return showNothing();
    view.rows = new Map(items.map((job) => [job.name, jobRow(job)]));
    const element = table({ caption: "Jobs, newest first", columns: JOB_COLUMNS, rows: [] });
    element.tBodies[0].append(...[...view.rows.values()].map((row) => row.element));
    replace(list, element);
    drawPages();
  }

  function showNothing() {
    view.rows = new Map();
    replace(pages);
    const any = FILTERS.some((name) => filter[name]);
    if (any) replace(list, emptyState("No job matches", "Take a filter away, or look for something else.", button("Clear all filters", { onclick: clear })));
    else if (offset > 0) replace(list, emptyState("There is no such page", "There are fewer jobs than that.", link("/", { class: "button" }, "The newest jobs")));
    else replace(list, emptyState("No job has run yet", mayRun() ? "Start the first one here, or on the command line with: bunraku job run --all --noop" : "Your role may look at jobs, but not start them.", mayRun() ? link("/run", { class: "button button-primary" }, icon("play"), "Run the first job") : null));
  }

  function clear() {
    for (const name of FILTERS) filter[name] = "";
    offset = 0;
    setQuery({ ...filter, offset: null });
    bar.update(true);
    load();
  }

  function drawPages() {
    const href = (at) => {
      const params = new URLSearchParams(location.search);
      if (at > 0) params.set("offset", String(at));
      else params.delete("offset");
      return `/?${params}`;
    };
    replace(pages, pager({ total: view.total, limit: PAGE, offset, href, noun: "job" }));
  }

  /** Takes a job that is new or has changed. */
  function take(job) {
    const row = view.rows.get(job.name);
    if (row) {
      const ended = !isOver(row.job.state) && isOver(job.state);
      if (ended) announce(`Job ${job.name} is ${stateLabel(job.state)}: ${countsText(job.node_states ?? {})}`);
      return fits(job, filter) ? row.update(job) : leave(row);
    }
    // On other pages everything would move under the reader's eyes.
    if (offset > 0 || !fits(job, filter)) return undefined;
    const oldest = Math.min(...[...view.rows.keys()].map(Number));
    if (Number(job.name) < oldest && view.rows.size >= PAGE) return undefined;
    return enter(job);
  }

  function enter(job) {
    const body = list.querySelector("tbody");
    if (!body) return load();
    const row = jobRow(job);
    row.element.classList.add("row-new");
    const next = [...body.rows].find((other) => Number(other.dataset.job) < Number(job.name));
    body.insertBefore(row.element, next ?? null);
    view.rows.set(job.name, row);
    view.total += 1;
    announce(`New job ${job.name}: ${whatOf(job)}`);
    if (view.rows.size > PAGE) drop(view.rows.get(body.lastElementChild.dataset.job));
    return drawPages();
  }

  function leave(row) {
    drop(row);
    view.total = Math.max(0, view.total - 1);
    return view.rows.size === 0 ? load() : drawPages();
  }

  function drop(row) {
    row.element.remove();
    view.rows.delete(row.job.name);
  }
}

function mayRun() {
  return may("puppet_agent:run") || may("tasks:run");
}

/** Whether a job passes the filter, as the service would say it. */
function fits(job, filter) {
  const has = (text, part) => (text ?? "").toLowerCase().includes(part.toLowerCase());
  if (filter.state && job.state !== filter.state) return false;
  if (filter.type && job.type !== filter.type) return false;
  if (filter.task && !has(job.options?.task, filter.task)) return false;
  if (filter.owner && job.owner?.login !== filter.owner) return false;
  if (filter.environment && job.environment?.name !== filter.environment) return false;
  if (!filter.search) return true;
  return [job.name, job.description, job.options?.task, job.owner?.login, job.environment?.name].some((text) => has(text, filter.search));
}

function filterBar(filter, change) {
  const controls = {};
  const select = (name, label, options) => {
    controls[name] = h("select", { "aria-label": label, value: filter[name], onchange: (event) => change(name, event.target.value, false) }, options.map(([value, text]) => h("option", { value }, text)));
    return controls[name];
  };
  const text = (name, label, props) => {
    controls[name] = h("input", { "aria-label": label, placeholder: label, value: filter[name], autocomplete: "off", spellcheck: "false", oninput: (event) => change(name, event.target.value.trim(), true), ...props });
    return controls[name];
  };
  const owners = h("datalist", { id: "owners" });
  const environments = h("datalist", { id: "environments" });
  const mine = button("Mine", { "aria-pressed": "false", onclick: () => setOwner(filter.owner === session.get().login ? "" : session.get().login) });
  const setOwner = (login) => {
    controls.owner.value = login;
    change("owner", login, false);
  };
  const more = h(
    "details",
    { class: "more-filters", open: Boolean(filter.type || filter.task || filter.owner || filter.environment) },
    h("summary", { class: "button" }, "More", h("span", { class: "filter-count" })),
    h("div", { class: "filter-row" }, select("type", "Type", [["", "Any type"], ["deploy", "Puppet run"], ["task", "task"]]), text("task", "Task name", {}), text("owner", "Owner", { list: "owners" }), text("environment", "Environment", { list: "environments" }), owners, environments),
  );
  const element = h(
    "search",
    { class: "filters", "aria-label": "Filter jobs" },
    h("div", { class: "search-box" }, icon("search"), text("search", "Search jobs", { type: "search" })),
    select("state", "State", [["", "Any state"], ...STATES.map((state) => [state, stateLabel(state)])]),
    mine,
    more,
  );
  const known = { owners: new Set([session.get().login]), environments: new Set() };
  const update = (all = false) => {
    mine.setAttribute("aria-pressed", String(filter.owner === session.get().login));
    const used = ["type", "task", "owner", "environment"].filter((name) => filter[name]).length;
    setText(element.querySelector(".filter-count"), used > 0 ? count(used) : "");
    if (all) for (const name of FILTERS) controls[name].value = filter[name];
  };
  update();
  return {
    element,
    update,
    /** Offers what the jobs shown have. */
    learn(jobs) {
      for (const job of jobs) {
        if (job.owner?.login) known.owners.add(job.owner.login);
        if (job.environment?.name) known.environments.add(job.environment.name);
      }
      const options = (values) => [...values].sort().map((value) => h("option", { value }));
      replace(owners, options(known.owners));
      replace(environments, options(known.environments));
    },
  };
}

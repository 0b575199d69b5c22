// What is scheduled: when it runs next, how its last turn ended; pausing it, and ending it for good.

import { get, may, put, session } from "../api.js";
import { h, replace } from "../dom.js";
import { age, duration, plural, time } from "../format.js";
import { icon } from "../icons.js";
import { aboutLine } from "../jobs-row.js";
import { link } from "../router.js";
import { keepFresh } from "../fresh.js";
import { badge, busy, button, confirm, emptyState, errorBox, pager, table, toast } from "../ui.js";

const PATH = "/orchestrator/v1/scheduled_jobs/environment_jobs";
const PAGE = 50;
/** A turn changes its schedule a moment after its job has begun. */
const REREAD_MILLISECONDS = 1500;

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ main, title, query, onLeave, signal }) {
  title("Schedules");
  const offset = Math.max(0, Number(query.get("offset")) || 0);
  const list = h("div", { class: "table-box schedules" });
  const pages = h("div", {});
  const trouble = h("div", {});
  const mayMake = may("puppet_agent:run") || may("tasks:run");
  const columns = [
    { key: "number", title: "No.", cell: ({ name }) => h("span", { class: "job-number" }, name) },
    { key: "what", title: "What", cell: what },
    { key: "next", title: "Next run", cell: next, class: "nowrap" },
    { key: "rhythm", title: "Rhythm", cell: ({ schedule }) => rhythm(schedule) },
    { key: "last", title: "Last run", cell: last },
    { key: "owner", title: "Owner", cell: ({ owner, environment }) => h("div", { class: "job-what" }, h("span", {}, owner?.display_name || owner?.login), environment ? h("span", { class: "muted small" }, environment) : null) },
    { key: "actions", title: "Actions", cell: actions, class: "right" },
  ];
  let turn = 0;
  replace(main, h("div", { class: "page-head" }, h("h1", {}, "Schedules"), mayMake ? link("/run?when=later", { class: "button" }, icon("clock"), "Schedule a run") : null), trouble, list, pages);

  // There are no events of schedules; the jobs that they make tell of each turn.
  const read = keepFresh({
    load,
    every: REREAD_MILLISECONDS,
    // What a turn made is noted after its job began.
    lead: REREAD_MILLISECONDS,
    onLeave,
    handlers: (changed) => ({ job: (job) => job.options?.["scheduled-job-id"] && changed() }),
  });
  await read();

  async function load() {
    const mine = ++turn;
    try {
      const answer = await get(`${PATH}?limit=${PAGE}&offset=${offset}&order_by=next_run_time&order=asc`, { signal });
      if (mine !== turn) return;
      replace(trouble);
      show(answer);
    } catch (error) {
      if (mine === turn && error.name !== "AbortError") replace(trouble, errorBox(error, read));
    }
  }

  function show({ items, pagination }) {
    if (items.length === 0 && offset === 0) {
      replace(pages);
      replace(list, emptyState("Nothing is scheduled", mayMake ? "Set up a run as you want it, and choose “On a schedule” instead of “Now”." : "Your role may look at schedules, but not make them.", mayMake ? link("/run?when=later", { class: "button button-primary" }, icon("clock"), "Schedule the first run") : null));
      return;
    }
    // What still comes stands before what is over.
    const rows = [...items].sort((a, b) => Number(Boolean(b.next_run)) - Number(Boolean(a.next_run)));
    const focused = document.activeElement?.getAttribute("data-action");
    replace(list, table({ caption: "Schedules, the next first", columns, rows, rowProps: (row) => ({ class: row.enabled === false ? "row-off" : "" }) }));
    if (focused) list.querySelector(`[data-action="${CSS.escape(focused)}"]`)?.focus();
    replace(pages, pager({ total: pagination?.total ?? items.length, limit: PAGE, offset, href: (at) => (at > 0 ? `/schedules?offset=${at}` : "/schedules"), noun: "schedule" }));
  }

  function actions(row) {
    const mine = row.owner?.login === session.get()?.login;
    if (row.enabled === false || !(mine || may("scheduled_jobs:edit"))) return "";
    const pause = "paused" in row ? button(row.paused ? "Resume" : "Pause", { icon: row.paused ? "play" : "pause", kind: "quiet", "data-action": `pause-${row.name}`, "aria-label": `${row.paused ? "Resume" : "Pause"} schedule ${row.name}` }) : null;
    pause?.addEventListener("click", () => busy(pause, () => change(row, { paused: !row.paused }, row.paused ? `Schedule ${row.name} goes on` : `Schedule ${row.name} is paused`).catch((error) => toast(error.message, "bad"))));
    const end = button("Disable", { kind: "quiet", "data-action": `end-${row.name}`, "aria-label": `Disable schedule ${row.name}`, onclick: () => disable(row) });
    return h("div", { class: "row-actions" }, pause, end);
  }

  async function change(row, body, told) {
    await put(`${PATH}/${row.name}`, body);
    toast(told);
    await read();
  }

  function disable(row) {
    return confirm({
      title: `Disable schedule ${row.name}?`,
      content: h("div", {}, h("p", {}, "It never runs again, and this cannot be taken back. Its jobs stay as they are, and one that runs now goes on."), "paused" in row && !row.paused ? h("p", { class: "muted" }, "To let it rest for a while, pause it instead.") : null),
      label: "Disable for good",
      kind: "danger",
      onclick: () => change(row, { enabled: false }, `Schedule ${row.name} is disabled`),
    });
  }
}

function what(row) {
  const name = row.type === "task" ? (row.input?.name ?? "task") : row.type === "deploy" ? "Puppet run" : row.type;
  return h("div", { class: "job-what" }, h("strong", {}, row.input?.noop ? `${name} (noop)` : name), aboutLine(row.description, row.input));
}

function next(row) {
  if (row.enabled === false) return badge("stopped", "disabled");
  if (row.paused) return badge("skipped", "paused");
  if (!row.next_run) return h("span", { class: "muted" }, "done");
  return h("div", { class: "job-what" }, age(row.next_run.time), h("span", { class: "muted small" }, time(row.next_run.time)));
}

function last({ last_run: run }) {
  if (!run) return h("span", { class: "muted" }, "none yet");
  const refused = run.job?.submission_error;
  if (refused) return h("div", { class: "job-what" }, badge("failed", "refused"), h("span", { class: "small", title: refused.kind }, refused.msg), h("span", { class: "muted small" }, age(run.time)));
  return h("div", { class: "job-what" }, run.job?.name ? link(`/jobs/${run.job.name}`, {}, `job ${run.job.name}`) : "", h("span", { class: "muted small" }, age(run.time)));
}

/** @type {[number, string][]} */
const UNITS = [
  [604_800, "week"],
  [86_400, "day"],
  [3600, "hour"],
  [60, "minute"],
];

function rhythm(schedule) {
  if (schedule.cron) return h("div", { class: "job-what" }, h("code", {}, schedule.cron), h("span", { class: "muted small" }, schedule.timezone ?? "UTC"));
  if (!schedule.interval) return h("span", {}, "once");
  const seconds = schedule.interval.value;
  const unit = UNITS.find(([size]) => seconds % size === 0);
  if (!unit) return `every ${duration(seconds)}`;
  const n = seconds / unit[0];
  return n === 1 ? `every ${unit[1]}` : `every ${plural(n, unit[1])}`;
}

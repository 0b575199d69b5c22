// One node: is it there, why is it not running, and how did its last run end.

import { apiBase, get, may } from "../api.js";
import { announce, h, replace } from "../dom.js";
import { age, causeHelp, causeLabel, duration, sentence, time } from "../format.js";
import { icon } from "../icons.js";
import { link } from "../router.js";
import { keepFresh } from "../fresh.js";
import { badge, copyable, errorBox } from "../ui.js";

/** What comes faster than this is read once. */
const REREAD_MILLISECONDS = 2000;

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ params, main, title, onLeave, signal }) {
  const name = params.certname;
  title(name);
  const state = h("div", { class: "node-line" });
  const body = h("div", { class: "stack" });
  const trouble = h("div", {});
  const mayRun = may("puppet_agent:run") || may("tasks:run");
  replace(
    main,
    h("div", { class: "page-head" }, h("div", {}, h("p", { class: "crumb" }, link("/nodes", {}, "Nodes")), h("h1", { class: "mono" }, name)), mayRun ? link(`/run?nodes=${encodeURIComponent(name)}`, { class: "button button-primary" }, icon("play"), "Run here") : null),
    state,
    trouble,
    body,
  );
  const curlOf = (base) => `curl -sS -H "X-Authentication: $TOKEN" '${base}/bunraku/v1/nodes/${encodeURIComponent(name)}/why'`;
  let before = "";
  let jobs = new Set();
  const seen = new Set();
  let told = null;

  const read = keepFresh({
    load,
    every: REREAD_MILLISECONDS,
    onLeave,
    handlers: (changed) => ({
      job(job) {
        // Whether a new job has this node is known to the service alone.
        if (jobs.has(job.name) || !seen.has(job.name)) changed();
        seen.add(job.name);
      },
      inventory({ connected, changed: times = null }) {
        const now = `${times} ${connected}`;
        if (told !== null && told !== now) changed();
        told = now;
      },
    }),
  });
  await read();

  async function load() {
    try {
      const why = await get(`/bunraku/v1/nodes/${encodeURIComponent(name)}/why`, { signal });
      jobs = new Set(why.reasons.map(({ job }) => job));
      const runs = await Promise.all(why.reasons.map((reason) => runOf(reason, name, signal)));
      replace(trouble);
      const sign = JSON.stringify([why, runs]);
      if (sign === before) return;
      if (before !== "") announce(why.summary);
      before = sign;
      draw(why, runs);
    } catch (error) {
      if (error.name !== "AbortError") replace(trouble, errorBox(error, read));
    }
  }

  function draw(why, runs) {
    const call = copyable(curlOf(location.origin));
    replace(
      state,
      badge(why.connected ? "connected" : "away", why.connected ? "connected" : "away"),
      why.since ? h("span", { class: "muted" }, "since ", time(why.since), " (", age(why.since), ")") : null,
      why.agent ? h("span", { class: "muted" }, why.agent, why.native ? "" : " (pxp-agent)") : null,
    );
    replace(
      body,
      h("section", { class: "card stack-small", "aria-labelledby": "why" }, h("h2", { id: "why" }, "What it does now"), why.reasons.length > 1 ? h("ul", { class: "plain why" }, why.reasons.map(reasonItem)) : h("p", { class: "why" }, sentence(why.summary))),
      why.reasons.length === 0 ? h("p", { class: "muted" }, "It has been in no job that is still known.") : null,
      runs.map((run, at) => runCard(why.reasons[at], run)),
      h("details", { class: "more", ontoggle: async () => call.setText(curlOf(await apiBase())) }, h("summary", {}, "The same by the API"), call),
    );
  }
}

async function runOf({ job }, name, signal) {
  try {
    return await get(`/bunraku/v1/jobs/${job}/nodes/${encodeURIComponent(name)}`, { signal });
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function reasonItem({ job, text }) {
  return h("li", {}, link(`/jobs/${job}`, {}, `Job ${job}`), ": ", sentence(text));
}

function runCard(reason, run) {
  const state = run?.state ?? reason.state;
  const cause = run?.cause ?? null;
  const heading = `run-${reason.job}`;
  const fact = (label, value) => (value === null || value === undefined ? null : h("div", {}, h("dt", {}, label), h("dd", {}, value)));
  const changed = run?.details?.metrics;
  return h(
    "section",
    { class: "card stack-small", "aria-labelledby": heading },
    h("div", { class: "page-head" }, h("h2", { id: heading }, "In ", link(`/jobs/${reason.job}?node=${encodeURIComponent(run?.name ?? "")}`, {}, `job ${reason.job}`)), badge(state)),
    cause ? h("p", { class: "muted" }, h("strong", {}, causeLabel(cause)), ". ", causeHelp(cause)) : null,
    run
      ? h(
          "dl",
          { class: "fact-row" },
          fact("Started", run.start_timestamp ? time(run.start_timestamp) : null),
          fact("Ended", run.finish_timestamp ? time(run.finish_timestamp) : null),
          fact("Took", run.duration === null ? null : duration(run.duration)),
          fact("Resources changed", changed ? `${changed.changed ?? 0} of ${changed.total ?? 0}` : null),
          fact("Resources failed", changed?.failed ? String(changed.failed) : null),
        )
      : null,
    run?.details?.message ? h("p", { class: "mono small" }, run.details.message) : null,
  );
}

// What the job is: its number, state, words, and the jobs that it belongs to.

import { h } from "../dom.js";
import { timeText } from "../format.js";
import { link } from "../router.js";
import { badge } from "../ui.js";

/**
 * Makes the head of the page.
 * @param {HTMLElement} actions
 * @returns {{element: HTMLElement, update: (model: import("./model.js").JobModel) => void}}
 */
export function jobHead(actions) {
  const heading = h("h1", { tabindex: "-1" });
  const state = h("span", { class: "job-state" });
  const about = h("p", { class: "job-about" });
  const description = h("p", { class: "job-description" });
  const linked = h("p", { class: "job-linked" });
  const element = h("header", { class: "job-head" }, h("div", {}, h("div", { class: "job-title" }, heading, state), description, about, linked), actions);
  let shown = "";

  return {
    element,
    update(model) {
      const { job, jobState } = model;
      const key = JSON.stringify([job.name, jobState, job.started_timestamp, job.finished_timestamp, job.retried_by]);
      if (key === shown) return;
      shown = key;
      heading.textContent = titleOf(job);
      state.replaceChildren(badge(jobState));
      description.textContent = job.description ?? "";
      description.hidden = !job.description;
      about.textContent = aboutOf(job);
      const links = linksOf(job);
      linked.replaceChildren(...links);
      linked.hidden = links.length === 0;
    },
  };
}

/**
 * The job's title.
 * @param {object} job
 * @returns {string}
 */
export function titleOf(job) {
  const what = job.type === "task" ? `task ${job.options?.task ?? ""}` : job.options?.noop ? "Puppet run (noop)" : "Puppet run";
  return `Job ${job.name}: ${what}`;
}

function aboutOf(job) {
  const parts = [
    job.environment?.name ? `environment ${job.environment.name}` : "",
    job.owner?.login ? `by ${job.owner.display_name || job.owner.login}` : "",
    job.started_timestamp ? `started ${timeText(job.started_timestamp)}` : "",
    job.options?.concurrency ? `at most ${job.options.concurrency} at once` : "",
    paramsOf(job.options?.params),
  ];
  return parts.filter(Boolean).join(" · ");
}

function paramsOf(params) {
  const pairs = Object.entries(params ?? {}).map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const text = pairs.join(" ");
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function linksOf(job) {
  const to = ({ name }) => link(`/jobs/${name}`, `job ${name}`);
  const parts = [];
  if (job.retry_of) parts.push("Runs nodes of ", to(job.retry_of), " again. ");
  const later = job.retried_by === undefined || job.retried_by === null ? [] : [job.retried_by].flat();
  if (later.length > 0) parts.push("Run again by ", ...later.flatMap((one, at) => (at === 0 ? [to(one)] : [", ", to(one)])), ". ");
  const scheduled = job.options?.["scheduled-job-id"];
  if (scheduled) parts.push("Made by ", link("/schedules", `schedule ${scheduled}`), ".");
  return parts;
}

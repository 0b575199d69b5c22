// What may be done with a job: stop it, end it by force, run its nodes again, let it go on. What one may not is not offered.

import { may, post, session } from "../api.js";
import { h } from "../dom.js";
import { navigate } from "../router.js";
import { button, confirm, toast } from "../ui.js";
import { forceText, resumeText, retryChoice, stopText } from "./dialogs.js";

/**
 * Makes the buttons.
 * @param {string} id of the job
 * @param {() => import("./model.js").JobModel} model
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function jobActions(id, model) {
  const stop = button("Stop", { icon: "pause", onclick: askStop });
  const force = button("Stop by force", { kind: "danger", onclick: askForce });
  const again = button("Run again", { icon: "play", onclick: askRetry });
  const resume = button("Let it go on", { kind: "primary", onclick: askResume });
  const element = h("div", { class: "job-actions" }, resume, again, stop, force);

  function update() {
    const job = model();
    const own = job.job.owner?.login === session.get()?.login;
    const mayStop = own || may("jobs:stop");
    const mayRun = may(job.job.type === "task" ? "tasks:run" : "puppet_agent:run");
    stop.hidden = job.ended || job.jobState === "stopping" || !mayStop;
    force.hidden = job.ended || !mayStop || (job.counts[2] === 0 && job.jobState === "stopping");
    // What was sensitive is gone: the service refuses to run such a task again.
    again.hidden = !job.ended || !mayRun || job.size === 0 || (job.job.options?.sensitive ?? []).length > 0;
    resume.hidden = job.ended || job.live?.binding !== "restored" || !may("jobs:resume");
  }

  function askStop() {
    return confirm({
      title: `Stop job ${id}?`,
      content: stopText(model()),
      label: "Stop the job",
      kind: "danger",
      onclick: () => post("/orchestrator/v1/command/stop", { job: id }),
    });
  }

  function askForce() {
    return confirm({
      title: `Stop job ${id} by force?`,
      content: forceText(model()),
      label: "End the runs",
      kind: "danger",
      onclick: () => post("/orchestrator/v1/command/stop", { job: id, force: true }),
    });
  }

  async function askRetry() {
    // Pressed again after a lost answer, it is the same job.
    const key = crypto.randomUUID();
    const { element: content, chosen } = retryChoice(model());
    let made = null;
    const done = await confirm({
      title: "Run again",
      content,
      label: "Run",
      async onclick() {
        const which = chosen();
        made = await post(`/bunraku/v1/jobs/${id}/retry`, which ? { which } : {}, { key });
      },
    });
    if (!done) return;
    toast(`Job ${made.job.name} runs them again.`);
    navigate(`/jobs/${made.job.name}`);
  }

  function askResume() {
    return confirm({
      title: `Let job ${id} go on?`,
      content: resumeText(),
      label: "Let it go on",
      onclick: () => post(`/bunraku/v1/jobs/${id}/resume`),
    });
  }

  return { element, update };
}


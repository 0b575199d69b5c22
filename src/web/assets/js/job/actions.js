// What may be done with a job: stop it, end it by force, run its nodes again, let it go on. What one may not is not offered.

import { may, post, session } from "../api.js";
import { h } from "../dom.js";
import { navigate } from "../router.js";
import { button, dialog, toast } from "../ui.js";
import { forceText, retryChoice, stopText } from "./dialogs.js";

/**
 * Makes the buttons.
 * @param {string} id of the job
 * @param {() => import("./model.js").JobModel} model
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function jobActions(id, model) {
  const stop = button("Stop", { onClick: askStop });
  const force = button("Stop by force", { danger: true, onClick: askForce });
  const again = button("Run again", { onClick: askRetry });
  const resume = button("Let it go on", { primary: true, onClick: askResume });
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
    return dialog({
      title: `Stop job ${id}?`,
      content: stopText(model()),
      confirm: "Stop the job",
      danger: true,
      action: () => post("/orchestrator/v1/command/stop", { job: id }),
    });
  }

  function askForce() {
    return dialog({
      title: `Stop job ${id} by force?`,
      content: forceText(model()),
      confirm: "End the runs",
      danger: true,
      action: () => post("/orchestrator/v1/command/stop", { job: id, force: true }),
    });
  }

  function askRetry() {
    const { element: content, chosen } = retryChoice(model());
    return dialog({
      title: "Run again",
      content,
      confirm: "Run",
      async action() {
        const which = chosen();
        const made = await post(`/bunraku/v1/jobs/${id}/retry`, which ? { which } : {});
        toast(`Job ${made.job.name} runs them again.`);
        navigate(`/jobs/${made.job.name}`);
      },
    });
  }

  async function askResume() {
    await post(`/bunraku/v1/jobs/${id}/resume`, {});
    toast("The job goes on.");
  }

  return { element, update };
}


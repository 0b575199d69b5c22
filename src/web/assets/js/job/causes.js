// What groups of nodes did, and what limits mean, in words. No DOM here.

/** What so many nodes did; the verb of a sentence about a group. */
const VERBS = {
  not_connected: ["was not connected", "were not connected"],
  undeliverable: ["was not reached", "were not reached"],
  refused_by_agent: ["refused: the agent cannot do it", "refused: their agents cannot do it"],
  refused_by_policy: ["refused by its policy", "refused by their policy"],
  locked: ["was locked by another run", "were locked by other runs"],
  disabled: ["has Puppet disabled", "have Puppet disabled"],
  run_failed: ["failed", "failed"],
  task_files_unreachable: ["could not fetch the task", "could not fetch the task"],
  timed_out: ["ran out of time", "ran out of time"],
  contact_lost: ["was lost from sight", "were lost from sight"],
  outcome_unknown: ["ended nobody knows how", "ended nobody knows how"],
  abandoned: ["was abandoned", "were abandoned"],
  stopped_by_force: ["was ended by force", "were ended by force"],
  dependency_failed: ["was skipped for what it depends on", "were skipped for what they depend on"],
  job_stopped: ["was skipped by the stop", "were skipped by the stop"],
  job_timed_out: ["was skipped, the job's time being over", "were skipped, the job's time being over"],
  job_broken: ["was lost with the job", "were lost with the job"],
};

const BINDINGS = {
  concurrency: "No more start at once: the job's own concurrency is reached.",
  concurrent_compiles: "Waiting for a catalog slot: as many catalogs are compiled as the service allows at once.",
  concurrent_runs: "Waiting for a slot: as many Puppet runs go on as the service allows.",
  concurrent_tasks: "Waiting for a slot: as many tasks run as the service allows.",
  node_turn: "Waiting for nodes on which another job runs.",
  connection: "Waiting for nodes that are not connected.",
  dependencies: "Waiting for the nodes that the others depend on.",
  draining: "The service is draining: nothing new starts until that ends.",
  restored: "The job came back with a backup and waits for your word.",
};

/**
 * The limit that binds, in a sentence; "" when nothing does.
 * @param {string|null|undefined} binding
 * @returns {string}
 */
export function bindingText(binding) {
  if (!binding) return "";
  return BINDINGS[binding] ?? `Held back by ${binding}.`;
}

/** How messages begin; the sentence says that already. */
const PREAMBLE = /^(?:Finished puppet run on <node> - Failed!|Finished task on <node> - Failed!|Error running (?:puppet|task) on <node>:)/;

/**
 * One sentence for a whole group.
 * @param {{text: string, cause: string|null, count: number, state: number}} group
 * @returns {string}
 */
export function groupSentence(group) {
  const verbs = VERBS[group.cause ?? ""] ?? ["did not finish", "did not finish"];
  const nodes = group.count === 1 ? "1 node" : `${group.count.toLocaleString("en-US")} nodes`;
  const head = `${nodes} ${group.count === 1 ? verbs[0] : verbs[1]}`;
  const text = group.text.replace(PREAMBLE, "").trim();
  return text === "" ? `${head}.` : `${head}: ${text}`;
}

// What causes and limits mean, in words. No DOM here.

/** Sentences about one node that did not finish. */
const MEANINGS = {
  not_connected: "The node had no connection to the service, and none came in time.",
  undeliverable: "The request never reached the node and was not sent again.",
  refused_by_agent: "The node's agent cannot do what was asked.",
  refused_by_policy: "The node's own policy forbids it.",
  locked: "Another Puppet run held the node's lock for too long.",
  disabled: "The Puppet agent is disabled on the node.",
  run_failed: "The run took place and failed.",
  task_files_unreachable: "The node could not fetch the task's files. The task did not begin.",
  timed_out: "The run passed its deadline. It may still go on there.",
  contact_lost: "The agent was away for too long. The run may have been done, or go on there.",
  outcome_unknown: "The agent does not know how the run ended.",
  abandoned: "It was ended by force, but the agent could not confirm it. It may still run there.",
  stopped_by_force: "It was ended by force, and the agent confirmed it.",
  dependency_failed: "A node that this one depends on did not finish.",
  job_stopped: "The job was stopped before this node's turn.",
  job_timed_out: "The job's time was over before this node's turn.",
  job_broken: "The job could not be carried on.",
};

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
 * What a cause means for one node.
 * @param {string|null} cause
 * @returns {string}
 */
export function meaning(cause) {
  return (cause && MEANINGS[cause]) || "";
}

/**
 * The limit that binds, in a sentence; "" when nothing does.
 * @param {string|null|undefined} binding
 * @returns {string}
 */
export function bindingText(binding) {
  if (!binding) return "";
  return BINDINGS[binding] ?? `Held back by ${binding}.`;
}

/**
 * One sentence for a whole group.
 * @param {{text: string, cause: string|null, count: number, state: number}} group
 * @returns {string}
 */
export function groupSentence(group) {
  const verbs = VERBS[group.cause ?? ""] ?? ["did not finish", "did not finish"];
  const nodes = group.count === 1 ? "1 node" : `${group.count.toLocaleString("en-US")} nodes`;
  const head = `${nodes} ${group.count === 1 ? verbs[0] : verbs[1]}`;
  const text = group.text.trim();
  return text === "" ? `${head}.` : `${head}: ${text}`;
}

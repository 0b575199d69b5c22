// Makes grids for the tests of pure modules: the shape that the service answers, with as many nodes as wanted.

export const STATES = ["new", "ready", "running", "finished", "failed", "errored", "skipped"];
export const NOW = 1_800_000_000_000;

/**
 * A grid of ready nodes.
 * @param {number} count
 * @param {object} [more] columns to put in place of the usual ones, and other keys of the grid
 */
export function gridOf(count, { nodes = {}, ...more } = {}) {
  const column = (value) => Array.from({ length: count }, () => value);
  const name = Array.from({ length: count }, (_, at) => `node${String(at).padStart(5, "0")}`);
  const columns = { name, state: column(1), cause: column(-1), started: column(0), finished: column(0), level: column(0), group: column(-1) };
  return {
    job: { name: "7", state: "running", node_count: count },
    live: { state: "running", counts: { new: 0, ready: count, running: 0 }, binding: null, away_until: null },
    "next-events": "100",
    states: STATES,
    causes: ["run_failed", "not_connected"],
    groups: [],
    levels: 1,
    nodes: { ...columns, ...nodes },
    ...more,
  };
}

/** An event of a node. */
export function event(type, node, at, more = {}) {
  return { type, node, at, cause: null, message: "", group: null, ...more };
}

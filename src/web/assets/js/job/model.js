// What is known of one job: the columns of its nodes, and what follows from them. No DOM here.
//
// The grid gives the state at one moment, events carry it on. Every event has a number that only grows, so one that comes
// twice, after a resumed stream, is told by its number. An end is final. Every event costs the same however many nodes
// there are, and nothing grows with time: typed arrays of one entry per node, and counters.

import { Rate } from "./rate.js";

/** The states of a node; their places in this list are what the columns hold. */
export const STATES = ["new", "ready", "running", "finished", "failed", "errored", "skipped"];
export const NEW = 0;
export const READY = 1;
export const RUNNING = 2;
export const FINISHED = 3;
export const FAILED = 4;
export const ERRORED = 5;
export const SKIPPED = 6;

/** States of a job that nothing leaves. */
const OVER = new Set(["finished", "failed", "stopped"]);
const AFTER_EVENT = {
  node_running: RUNNING,
  node_finished: FINISHED,
  node_failed: FAILED,
  node_errored: ERRORED,
  node_skipped: SKIPPED,
};
/** In messages of groups it stands for the node's own name. */
const NODE = "<node>";
/** Events that leave out their message are grouped under their cause alone. */
const NO_MESSAGE = "";

/** The columns of a job and its counters. */
export class JobModel {
  /** @param {object} grid the answer of `GET /bunraku/v1/jobs/{id}/grid` */
  constructor(grid) {
    this.load(grid);
  }

  /**
   * Takes a whole grid; whatever was known before is forgotten.
   * @param {object} grid
   */
  load(grid) {
    const { nodes } = grid;
    const size = nodes.name.length;
    this.size = size;
    this.names = nodes.name;
    this.index = new Map(nodes.name.map((name, at) => [name, at]));
    this.state = new Uint8Array(size);
    this.cause = new Int16Array(size).fill(-1);
    this.group = new Int32Array(size).fill(-1);
    this.level = Uint16Array.from(nodes.level);
    this.started = Float64Array.from(nodes.started);
    this.finished = Float64Array.from(nodes.finished);
    this.levels = Math.max(1, grid.levels ?? 1);
    this.counts = new Uint32Array(STATES.length);
    this.levelCounts = new Uint32Array(this.levels * STATES.length);
    /** Names of causes, and how many nodes have each. */
    this.causes = [...grid.causes];
    this.causeCounts = this.causes.map(() => 0);
    /** What failed in the same words for the same cause: `{text, cause, state, count}`. */
    this.groups = [];
    this.groupIndex = new Map();
    this.rate = new Rate();
    this.lastSeen = Number(grid["next-events"]) - 1;
    this.lastAt = 0;
    this.firstStart = Infinity;
    /** How far the service's clock is ahead of ours, as far as events have shown it. */
    this.ahead = null;
    /** Events of nodes that the grid does not have. */
    this.strangers = 0;
    /** Whether fewer nodes are over than were: the service has come back from a backup. */
    this.setBack = false;
    this.job = grid.job;
    this.live = grid.live ?? null;
    this.jobState = grid.live?.state ?? grid.job.state;
    this.ended = OVER.has(this.jobState);
    this.dirty = new Uint32Array(size);
    this.dirtyCount = 0;
    this.isDirty = new Uint8Array(size);

    const states = grid.states.map((name) => STATES.indexOf(name));
    for (let at = 0; at < size; at += 1) {
      const state = states[nodes.state[at]];
      this.state[at] = state;
      this.counts[state] += 1;
      this.levelCounts[this.#level(at) * STATES.length + state] += 1;
      this.#noteTime(this.started[at], this.finished[at]);
      if (state >= FINISHED && state < SKIPPED && this.finished[at] > 0) this.rate.add(this.finished[at]);
      const cause = nodes.cause[at];
      if (cause >= 0) this.#setCause(at, cause);
      if (state > FINISHED) {
        const text = nodes.group[at] >= 0 ? grid.groups[nodes.group[at]] : NO_MESSAGE;
        this.#join(at, state, cause, text);
      }
    }
  }

  /**
   * Takes an event of a node.
   * @param {number|string} id its number
   * @param {object} event its data
   * @param {number} [now] our clock, when it has just come
   * @returns {boolean} whether anything changed
   */
  takeNode(id, event, now) {
    if (!this.#isNew(id)) return false;
    if (now !== undefined) this.ahead = Math.max(this.ahead ?? -Infinity, event.at - now);
    const at = this.index.get(event.node);
    if (at === undefined) {
      this.strangers += 1;
      return false;
    }
    const state = AFTER_EVENT[event.type];
    const before = this.state[at];
    if (state === undefined || state <= before || before >= FINISHED) return false;
    this.state[at] = state;
    this.counts[before] -= 1;
    this.counts[state] += 1;
    const level = this.#level(at) * STATES.length;
    this.levelCounts[level + before] -= 1;
    this.levelCounts[level + state] += 1;
    if (state === RUNNING) {
      this.started[at] = event.at;
      this.#noteTime(event.at, 0);
    } else {
      this.finished[at] = event.at;
      this.#noteTime(0, event.at);
      // What a stop or a failure skips says nothing of how fast the others run.
      if (state < SKIPPED) this.rate.add(event.at);
      const cause = event.cause ? this.#causeOf(event.cause) : -1;
      if (cause >= 0) this.#setCause(at, cause);
      if (state > FINISHED) {
        const text = event.group ?? (event.message ?? NO_MESSAGE).replaceAll(event.node, () => NODE);
        this.#join(at, state, cause, text);
      }
    }
    this.#touch(at);
    return true;
  }

  /**
   * Takes an event of the job itself.
   * @param {number|string} id
   * @param {object} event
   * @returns {boolean} whether anything changed
   */
  takeJob(id, event) {
    if (!this.#isNew(id)) return false;
    if (event.type === "job_stopping") {
      if (!this.ended) this.jobState = "stopping";
    } else {
      this.ended = true;
      this.endedAt = event.at;
    }
    return true;
  }

  /**
   * Takes the live view: which state the job has, and what keeps nodes from starting.
   * @param {object} live
   */
  takeLive(live) {
    this.live = live;
    // A view from before the stop may come after the word of it.
    const back = this.jobState === "stopping" && (live.state === "running" || live.state === "ready");
    if (!back) this.jobState = live.state;
    if (OVER.has(live.state)) this.ended = true;
    // An end is final, so only an older record has fewer of them.
    for (let state = FINISHED; state <= SKIPPED; state += 1) {
      if (live.counts?.[STATES[state]] < this.counts[state]) this.setBack = true;
    }
  }

  /** How many nodes are over. */
  get done() {
    return this.counts[FINISHED] + this.counts[FAILED] + this.counts[ERRORED] + this.counts[SKIPPED];
  }

  /** How many have not started. */
  get waiting() {
    return this.counts[NEW] + this.counts[READY];
  }

  /** Percent of the nodes that are over; 100 only when all are. */
  get percent() {
    return this.size === 0 ? 100 : Math.floor((this.done / this.size) * 100);
  }

  /**
   * Counts by state. Events do not tell when a node turns from new to ready, the live view does.
   * @returns {Record<string, number>}
   */
  countsByState() {
    const counts = Object.fromEntries(STATES.map((name, state) => [name, this.counts[state]]));
    const blocked = this.live?.counts?.new;
    if (blocked !== undefined && blocked <= this.waiting) {
      counts.new = blocked;
      counts.ready = this.waiting - blocked;
    }
    return counts;
  }

  /**
   * Causes that occur, the most frequent first.
   * @returns {{cause: string, count: number}[]}
   */
  countsByCause() {
    const seen = this.causes.map((cause, at) => ({ cause, count: this.causeCounts[at] }));
    return seen.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count || (a.cause < b.cause ? -1 : 1));
  }

  /**
   * Groups of nodes that did not finish, the largest first.
   * @returns {{text: string, cause: string|null, state: number, count: number, at: number}[]}
   */
  failures() {
    return this.groups.filter(({ count }) => count > 0).sort((a, b) => b.count - a.count || a.at - b.at);
  }

  /**
   * The names of a group's nodes.
   * @param {number} group its `at`
   * @param {number} most
   * @returns {string[]}
   */
  namesOf(group, most = Infinity) {
    const found = [];
    for (let at = 0; at < this.size && found.length < most; at += 1) {
      if (this.group[at] === group) found.push(this.names[at]);
    }
    return found;
  }

  /**
   * What a node that did not finish is grouped under, with its own name in it.
   * @param {number} at
   * @returns {string}
   */
  message(at) {
    const group = this.group[at];
    return group < 0 ? "" : this.groups[group].text.replaceAll(NODE, () => this.names[at]);
  }

  /**
   * The name of a node's cause, or null.
   * @param {number} at
   * @returns {string|null}
   */
  causeName(at) {
    return this.cause[at] < 0 ? null : this.causes[this.cause[at]];
  }

  /**
   * How long a node has run, in milliseconds; 0 when it never started.
   * @param {number} at
   * @param {number} now the service's clock
   * @returns {number}
   */
  runTime(at, now) {
    if (this.started[at] === 0) return 0;
    const end = this.state[at] === RUNNING ? now : this.finished[at];
    return Math.max(0, end - this.started[at]);
  }

  /**
   * The service's clock. Events come after they happened, so the freshest of them says how far it is ahead.
   * @param {number} now our clock
   * @returns {number}
   */
  clock(now) {
    return Math.max(this.lastAt, now + (this.ahead ?? 0));
  }

  /**
   * Nodes that changed since the last call, each once. The view is good until the next event.
   * @returns {Uint32Array}
   */
  takeDirty() {
    const changed = this.dirty.subarray(0, this.dirtyCount);
    for (const at of changed) this.isDirty[at] = 0;
    this.dirtyCount = 0;
    return changed;
  }

  #isNew(id) {
    const number = Number(id);
    if (!(number > this.lastSeen)) return false;
    this.lastSeen = number;
    return true;
  }

  #touch(at) {
    if (this.isDirty[at] === 1) return;
    this.isDirty[at] = 1;
    this.dirty[this.dirtyCount] = at;
    this.dirtyCount += 1;
  }

  #level(at) {
    return Math.min(this.level[at], this.levels - 1);
  }

  #noteTime(started, finished) {
    if (started > 0 && started < this.firstStart) this.firstStart = started;
    const last = Math.max(started, finished);
    if (last > this.lastAt) this.lastAt = last;
  }

  #causeOf(name) {
    const known = this.causes.indexOf(name);
    if (known >= 0) return known;
    this.causeCounts.push(0);
    return this.causes.push(name) - 1;
  }

  #setCause(at, cause) {
    this.cause[at] = cause;
    this.causeCounts[cause] += 1;
  }

  #join(at, state, cause, text) {
    const key = `${state} ${cause} ${text}`;
    let group = this.groupIndex.get(key);
    if (group === undefined) {
      group = this.groups.length;
      this.groups.push({ text, cause: cause < 0 ? null : this.causes[cause], state, count: 0, at: group });
      this.groupIndex.set(key, group);
    }
    this.group[at] = group;
    this.groups[group].count += 1;
  }
}

/**
 * How many nodes `retry` would take, by its word; the service decides by the same rule.
 * @param {JobModel} model
 * @returns {{all: number, failed: number, not_run: number, unknown: number, unfinished: number}}
 */
export function retryable(model) {
  const counts = { all: model.size, failed: 0, not_run: 0, unknown: 0, unfinished: 0 };
  for (let at = 0; at < model.size; at += 1) {
    if (model.state[at] <= FINISHED) continue;
    const cause = model.causeName(at);
    if (UNKNOWN.has(cause)) counts.unknown += 1;
    else if (model.state[at] === FAILED || cause === "stopped_by_force") counts.failed += 1;
    else counts.not_run += 1;
  }
  counts.unfinished = counts.failed + counts.not_run;
  return counts;
}

/** Causes after which a run may have been done, or may go on. */
const UNKNOWN = new Set(["timed_out", "contact_lost", "outcome_unknown", "abandoned", "job_broken"]);

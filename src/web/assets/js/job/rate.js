// How fast nodes come to their end, and how long the rest may take. No DOM here.

const WINDOW_SECONDS = 60;
/** Fewer ends say nothing about a rate. */
const FEWEST_ENDS = 5;
/** A shorter time says nothing either. */
const SHORTEST_SECONDS = 3;
/** What holds a job back without telling for how long. */
const NOBODY_KNOWS = new Set(["restored", "draining"]);

/** Ends per second over the last minute, in a ring of seconds. */
export class Rate {
  constructor() {
    this.second = new Float64Array(WINDOW_SECONDS);
    this.ends = new Uint32Array(WINDOW_SECONDS);
  }

  /**
   * Notes an end.
   * @param {number} at milliseconds since 1970
   */
  add(at) {
    const second = Math.floor(at / 1000);
    const slot = second % WINDOW_SECONDS;
    if (this.second[slot] > second) return;
    if (this.second[slot] < second) {
      this.second[slot] = second;
      this.ends[slot] = 0;
    }
    this.ends[slot] += 1;
  }

  /**
   * Ends in the last minute, and how much of that minute the job has been running.
   * @param {number} now milliseconds since 1970
   * @param {number} since when the first node started
   * @returns {{ends: number, seconds: number}}
   */
  recent(now, since) {
    const oldest = Math.floor(now / 1000) - WINDOW_SECONDS;
    let ends = 0;
    for (let slot = 0; slot < WINDOW_SECONDS; slot += 1) {
      if (this.second[slot] > oldest) ends += this.ends[slot];
    }
    const seconds = Math.max(0, Math.min(WINDOW_SECONDS, (now - since) / 1000));
    return { ends, seconds };
  }
}

/**
 * Nodes per second by the last minute, or null while nothing can be said.
 * @param {import("./model.js").JobModel} model
 * @param {number} now the service's clock
 * @returns {number|null}
 */
export function nodesPerSecond(model, now) {
  const { ends, seconds } = model.rate.recent(now, model.firstStart);
  if (ends < FEWEST_ENDS || seconds < SHORTEST_SECONDS) return null;
  return ends / seconds;
}

/**
 * Seconds until the job may be over if it goes on as in the last minute; null when that cannot be said.
 * @param {import("./model.js").JobModel} model
 * @param {number} now the service's clock
 * @returns {number|null}
 */
export function secondsLeft(model, now) {
  if (model.ended || NOBODY_KNOWS.has(model.live?.binding)) return null;
  // What a stopping job has not started it will not start.
  const stopping = model.jobState === "stopping";
  const left = stopping ? model.counts[2] : model.size - model.done;
  const rate = nodesPerSecond(model, now);
  return rate === null || left === 0 ? null : left / rate;
}

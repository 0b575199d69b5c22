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
    this.first = Infinity;
  }

  /**
   * Notes an end.
   * @param {number} at milliseconds since 1970
   */
  add(at) {
    if (at < this.first) this.first = at;
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
   * How many ended in the last minute.
   * @param {number} now milliseconds since 1970
   * @returns {number}
   */
  recent(now) {
    const oldest = Math.floor(now / 1000) - WINDOW_SECONDS;
    let ends = 0;
    for (let slot = 0; slot < WINDOW_SECONDS; slot += 1) {
      if (this.second[slot] > oldest) ends += this.ends[slot];
    }
    return ends;
  }
}

/**
 * Nodes per second by the last minute, or null while nothing can be said: before the first end there is no rate, and until
 * as much time has passed again the first runs would stand for all.
 * @param {import("./model.js").JobModel} model
 * @param {number} now the service's clock
 * @returns {number|null}
 */
export function nodesPerSecond(model, now) {
  const { rate, firstStart } = model;
  const running = (now - firstStart) / 1000;
  const first = (rate.first - firstStart) / 1000;
  const ends = rate.recent(now);
  if (!(running >= SHORTEST_SECONDS) || !(running >= 2 * first) || ends < FEWEST_ENDS) return null;
  // At the beginning nothing can end yet: half of that time is left out.
  return ends / Math.min(WINDOW_SECONDS, running - first / 2);
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

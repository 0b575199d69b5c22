// The runs of a job over time: how many at once, the median, the longest. No DOM here.

/** Up to so many nodes each gets a row of its own. */
export const ROWS = 400;
const LONGEST = 5;

/**
 * The runs that have begun, the first begun first.
 * @param {import("./model.js").JobModel} model
 * @param {number} now the service's clock
 * @returns {{at: number, from: number, to: number}[]}
 */
export function rowsOf(model, now) {
  const rows = [];
  for (let at = 0; at < model.size; at += 1) {
    if (model.started[at] > 0) rows.push({ at, from: model.started[at], to: model.started[at] + model.runTime(at, now) });
  }
  return rows.sort((a, b) => a.from - b.from || a.at - b.at);
}

/**
 * What the timeline says in words.
 * @param {import("./model.js").JobModel} model
 * @param {number} now the service's clock
 * @returns {{from: number, to: number, started: number, over: number, peak: number, median: number|null,
 *   longest: {at: number, time: number}[]}}
 */
export function summaryOf(model, now) {
  const rows = rowsOf(model, now);
  const { peak } = areaOf(model, now, 1);
  const ended = rows.filter(({ at }) => model.finished[at] > 0);
  const times = Float64Array.from(ended, ({ from, to }) => to - from).sort();
  const middle = times.length >> 1;
  const median = times.length === 0 ? null : times.length % 2 === 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
  const longest = rows.map(({ at, from, to }) => ({ at, time: to - from })).sort((a, b) => b.time - a.time || a.at - b.at);
  const to = rows.reduce((latest, row) => Math.max(latest, row.to), 0);
  return { from: rows[0]?.from ?? 0, to, started: rows.length, over: ended.length, peak, median, longest: longest.slice(0, LONGEST) };
}

/**
 * How many ran at once, in so many slices of the whole time: the most of each slice, and starts and ends in it.
 * @param {import("./model.js").JobModel} model
 * @param {number} now the service's clock
 * @param {number} slices
 * @returns {{from: number, to: number, peak: number, running: Uint32Array, starts: Uint32Array, ends: Uint32Array}}
 */
export function areaOf(model, now, slices) {
  const starts = [];
  const ends = [];
  for (let at = 0; at < model.size; at += 1) {
    if (model.started[at] === 0) continue;
    starts.push(model.started[at]);
    if (model.finished[at] > 0) ends.push(Math.max(model.started[at], model.finished[at]));
  }
  const begun = Float64Array.from(starts).sort();
  const over = Float64Array.from(ends).sort();
  const area = { from: 0, to: 0, peak: 0, running: new Uint32Array(slices), starts: new Uint32Array(slices), ends: new Uint32Array(slices) };
  if (begun.length === 0) return area;
  area.from = begun[0];
  area.to = Math.max(begun[begun.length - 1], over.length > 0 ? over[over.length - 1] : 0, over.length < begun.length ? now : 0);
  const width = Math.max(1, area.to - area.from) / slices;
  let running = 0;
  let start = 0;
  let end = 0;
  for (let slice = 0; slice < slices; slice += 1) {
    const until = slice === slices - 1 ? Infinity : area.from + (slice + 1) * width;
    let most = running;
    while (start < begun.length && begun[start] < until) {
      // A node that ends when another starts has made room for it.
      while (end < over.length && over[end] <= begun[start] && end < start) {
        running -= 1;
        end += 1;
        area.ends[slice] += 1;
      }
      running += 1;
      start += 1;
      area.starts[slice] += 1;
      most = Math.max(most, running);
    }
    while (end < over.length && over[end] < until) {
      running -= 1;
      end += 1;
      area.ends[slice] += 1;
    }
    area.running[slice] = most;
    area.peak = Math.max(area.peak, most);
  }
  return area;
}

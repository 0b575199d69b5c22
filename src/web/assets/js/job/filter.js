// Which nodes of a job are shown: by state, by cause, by a part of the name or message. No DOM here.

import { NEW, READY, STATES } from "./model.js";

/** New and ready nodes are one to whoever looks at the grid: events do not tell when one becomes the other. */
export const WAITING = "waiting";

/**
 * The filter that a query string asks for.
 * @param {Record<string, string>} query
 * @returns {{states: Set<string>, cause: string, text: string}}
 */
export function filterOf(query) {
  const wanted = (query.state ?? "").split(",").filter((name) => name === WAITING || STATES.indexOf(name) > READY);
  return { states: new Set(wanted), cause: query.cause ?? "", text: (query.q ?? "").trim().toLowerCase() };
}

/**
 * The same as parts of a query string; null takes a part away.
 * @param {{states: Set<string>, cause: string, text: string}} filter
 * @returns {Record<string, string|null>}
 */
export function queryOf(filter) {
  return { state: [...filter.states].join(",") || null, cause: filter.cause || null, q: filter.text || null };
}

/**
 * Whether every node is shown.
 * @param {{states: Set<string>, cause: string, text: string}} filter
 * @returns {boolean}
 */
export function isOpen(filter) {
  return filter.states.size === 0 && filter.cause === "" && filter.text === "";
}

/**
 * The places of the nodes that fit, in the order of names.
 * @param {import("./model.js").JobModel} model
 * @param {{states: Set<string>, cause: string, text: string}} filter
 * @returns {Uint32Array}
 */
export function matching(model, filter) {
  const found = new Uint32Array(model.size);
  let count = 0;
  const states = STATES.map((name, state) => filter.states.has(state <= READY && state >= NEW ? WAITING : name));
  const byState = filter.states.size > 0;
  const cause = filter.cause === "" ? -1 : model.causes.indexOf(filter.cause);
  if (filter.cause !== "" && cause < 0) return found.subarray(0, 0);
  // Each group's words are looked at once, not once for each of its nodes.
  const groups = filter.text === "" ? [] : model.groups.map(({ text }) => text.toLowerCase().includes(filter.text));
  for (let at = 0; at < model.size; at += 1) {
    if (byState && !states[model.state[at]]) continue;
    if (cause >= 0 && model.cause[at] !== cause) continue;
    const inGroup = model.group[at] >= 0 && groups[model.group[at]];
    if (filter.text !== "" && !inGroup && !model.names[at].toLowerCase().includes(filter.text)) continue;
    found[count] = at;
    count += 1;
  }
  return found.subarray(0, count);
}

/**
 * The places in another order.
 * @param {import("./model.js").JobModel} model
 * @param {Uint32Array} places
 * @param {string} by `name`, `state` or `duration`
 * @param {boolean} descending
 * @param {number} now the service's clock
 * @returns {Uint32Array}
 */
export function ordered(model, places, by, descending, now) {
  const turn = descending ? -1 : 1;
  if (by === "name") return descending ? places.slice().reverse() : places;
  const value = by === "state" ? (at) => model.state[at] : (at) => model.runTime(at, now);
  return places.slice().sort((a, b) => turn * (value(a) - value(b)) || a - b);
}

// States and causes as they are written on the page of a job.

import { h } from "../dom.js";
import { causeLabel, stateLabel } from "../format.js";
import { STATES } from "./model.js";

/**
 * A state in words; `waiting` is new or ready.
 * @param {string} name
 * @returns {string}
 */
export function stateText(name) {
  return name === "waiting" ? "waiting" : stateLabel(name);
}

/**
 * A cause in words; "" for none.
 * @param {string|null} cause
 * @returns {string}
 */
export function causeText(cause) {
  return cause ? causeLabel(cause) : "";
}

/**
 * What a node is called in the grid: new and ready are both waiting.
 * @param {number} state
 * @returns {string}
 */
export function shownState(state) {
  return state < 2 ? "waiting" : STATES[state];
}

/**
 * The mark of a state: its color and its shape.
 * @param {string} name
 * @returns {HTMLElement}
 */
export function dotOf(name) {
  return h("span", { class: `mark mark-${name}`, "aria-hidden": "true" });
}

/**
 * Mark and word of a node's state.
 * @param {number} state
 * @returns {HTMLElement}
 */
export function badgeOf(state) {
  const name = shownState(state);
  return h("span", { class: `node-state node-state-${name}` }, dotOf(name), stateText(name));
}

/**
 * A node in a few words, as the grid says it.
 * @param {import("./model.js").JobModel} model
 * @param {number} at
 * @returns {string}
 */
export function describeNode(model, at) {
  const message = model.message(at);
  const cause = message === "" ? causeText(model.causeName(at)) : message;
  return `${model.names[at]}, ${stateText(shownState(model.state[at]))}${cause === "" ? "" : `: ${cause}`}`;
}

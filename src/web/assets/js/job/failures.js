// What failed, in one sentence for all nodes that failed in the same way, while it comes in.

import { get } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { causeHelp } from "../format.js";
import { link } from "../router.js";
import { button, busy, errorBox } from "../ui.js";
import { groupSentence } from "./causes.js";
import { badgeOf } from "./words.js";

/** More groups than this are counted, not listed. */
const MOST_GROUPS = 25;
const MOST_NAMES = 100;

/**
 * Makes the list of failures.
 * @param {object} host
 * @param {string} host.job
 * @param {() => import("./model.js").JobModel} host.model
 * @param {(name: string) => string} host.addressOf where a node's panel is
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function failureList({ job, model, addressOf }) {
  const list = h("ul", { class: "failures" });
  const rest = h("p", { class: "failures-rest" });
  const heading = h("h2", { id: "failures-heading" }, "What did not finish");
  const element = h("section", { class: "job-failures", "aria-labelledby": "failures-heading" }, heading, list, rest);
  element.hidden = true;
  /** What stands on the page, by the group's place in the model: it is renewed, not made again, so that it stays open. */
  const shown = new Map();

  function update() {
    const groups = model().failures();
    element.hidden = groups.length === 0;
    const seen = groups.slice(0, MOST_GROUPS);
    const keys = new Set(seen.map(keyOf));
    for (const [key, item] of shown) {
      if (keys.has(key)) continue;
      item.element.remove();
      shown.delete(key);
    }
    seen.forEach((group, place) => {
      const item = shown.get(keyOf(group)) ?? itemOf(group);
      item.renew(group);
      if (list.children[place] !== item.element) list.insertBefore(item.element, list.children[place] ?? null);
    });
    const hidden = groups.slice(MOST_GROUPS);
    const nodes = hidden.reduce((sum, { count }) => sum + count, 0);
    rest.textContent = hidden.length === 0 ? "" : `${nodes} more in ${hidden.length} other groups: filter the nodes by state or cause.`;
    rest.hidden = hidden.length === 0;
  }

  function keyOf(group) {
    return `${group.state} ${group.cause} ${group.text}`;
  }

  function itemOf(first) {
    let group = first;
    const sentence = h("span", { class: "failure-sentence" });
    const details = h("div", { class: "failure-details" });
    const head = h("button", { type: "button", class: "failure-head", "aria-expanded": "false" }, badgeOf(group.state), sentence);
    details.hidden = true;
    head.addEventListener("click", () => {
      details.hidden = !details.hidden;
      head.setAttribute("aria-expanded", String(!details.hidden));
      if (!details.hidden) expand();
    });

    function expand() {
      const names = model().namesOf(group.at, MOST_NAMES);
      const more = group.count - names.length;
      const facts = h("div", { class: "failure-facts" });
      const ask = button("What do they have in common?", { onclick: () => shared(group, facts, ask) });
      details.replaceChildren(
        h("p", {}, causeHelp(group.cause)),
        h("ul", { class: "names" }, names.map((name) => h("li", {}, link(addressOf(name), name)))),
        h("p", {}, more > 0 ? `and ${more} more` : ""),
        ask,
        facts,
      );
    }

    const item = {
      element: h("li", {}, head, details),
      renew(now) {
        const grown = now.count !== group.count;
        group = now;
        setText(sentence, groupSentence(now));
        // What somebody reads does not change under their eyes; it is made anew when it is opened again.
        if (grown && !details.hidden && now.count <= MOST_NAMES && !details.contains(document.activeElement)) expand();
      },
    };
    shown.set(keyOf(first), item);
    return item;
  }

  function shared(group, place, ask) {
    return busy(ask, async () => {
      try {
        const { groups } = await get(`/bunraku/v1/jobs/${job}/failures`);
        const found = groups.find((one) => one.cause === group.cause && one.group === group.text);
        replace(place, factsOf(found?.facts ?? []));
      } catch (error) {
        replace(place, errorBox(error));
      }
    });
  }

  return { element, update };
}

function factsOf(facts) {
  if (facts.length === 0) return h("p", {}, "No fact is known that these nodes share and the finished ones lack.");
  const row = ({ fact, value, here, elsewhere }) =>
    h("tr", {}, h("th", { scope: "row" }, fact), h("td", {}, String(value)), h("td", {}, String(here)), h("td", {}, String(elsewhere)));
  const heads = ["Fact", "Value", "Of these", "Of the finished"].map((title) => h("th", { scope: "col" }, title));
  return h("table", { class: "facts" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, facts.map(row)));
}

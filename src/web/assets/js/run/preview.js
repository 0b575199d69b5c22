// What the run would be, before it is one: how many nodes, who is away or busy, which groups they are of, and in which order.

import { post } from "../api.js";
import { announce, debounce, h, replace } from "../dom.js";
import { count, plural } from "../format.js";
import { icon } from "../icons.js";
import { button, errorBox } from "../ui.js";

const PREVIEW = "/bunraku/v1/preview";
const CALM_MILLISECONDS = 350;

/**
 * The live preview.
 * @param {{body: () => any, onAnswer: (answer: any|null) => void, leaveOut: (names: string[]) => false|(() => void), signal: AbortSignal}} options
 *   `body` is null while no nodes are chosen; `onAnswer` gets null while nothing is known; `leaveOut` says how nodes are taken out
 *   of what is chosen, if that can be
 * @returns {{element: HTMLElement, changed: () => void, now: () => Promise<any>, stop: () => void}} `now` asks afresh and throws
 *   what the service refuses
 */
export function livePreview({ body, onAnswer, leaveOut, signal }) {
  const content = h("div", { class: "stack-small" });
  const element = h("section", { class: "card stack-small preview", "aria-labelledby": "preview" }, h("h2", { id: "preview" }, "Preview"), content);
  let abort = null;
  let last = "";
  const ask = debounce(CALM_MILLISECONDS, refresh);

  async function fetchNow(wanted) {
    abort?.abort();
    abort = new AbortController();
    return post(PREVIEW, wanted, { signal: AbortSignal.any?.([abort.signal, signal]) ?? abort.signal });
  }

  async function refresh() {
    const wanted = body();
    const text = JSON.stringify(wanted);
    if (text === last) return;
    last = text;
    if (wanted === null) {
      abort?.abort();
      element.removeAttribute("aria-busy");
      return nothing();
    }
    element.setAttribute("aria-busy", "true");
    try {
      const answer = await fetchNow(wanted);
      if (text !== last) return undefined;
      replace(content, parts(answer, wanted, leaveOut));
      announce(`Preview: ${plural(answer.nodes, "node")}, ${count(answer.not_connected?.count ?? 0)} not connected`);
      onAnswer(answer);
    } catch (error) {
      if (error.name === "AbortError" || text !== last) return undefined;
      replace(content, errorBox(error));
      onAnswer(null);
    }
    element.removeAttribute("aria-busy");
    return undefined;
  }

  function nothing() {
    replace(content, h("p", { class: "muted" }, "Choose nodes, and here stands what the run would be. Nothing is started by looking."));
    onAnswer(null);
  }

  nothing();
  return {
    element,
    changed: ask,
    now: () => fetchNow(body()),
    stop() {
      ask.cancel();
      abort?.abort();
    },
  };
}

function parts(answer, wanted, leaveOut) {
  const away = answer.not_connected ?? { count: 0, names: [] };
  const levels = answer.levels ?? [];
  const limit = wanted.concurrency ?? null;
  const without = away.count > 0 && away.count < answer.nodes && away.names.length === away.count && leaveOut(away.names);
  return [
    h("p", { class: "big" }, h("strong", {}, count(answer.nodes)), answer.nodes === 1 ? " node" : " nodes"),
    away.count === 0
      ? h("p", { class: "fine" }, icon("finished"), answer.nodes === 1 ? "It is connected." : "All of them are connected.")
      : names(h("span", { class: "warn" }, icon("warn"), answer.nodes === 1 ? "It is not connected" : away.count === answer.nodes ? "None of them is connected" : `${count(away.count)} not connected`), away),
    without ? button(away.count === 1 ? "Leave it out" : "Leave them out", { onclick: without, class: "fit" }) : null,
    answer.busy?.count > 0 ? names(h("span", {}, icon("clock"), `On ${plural(answer.busy.count, "node")} something else runs now; it waits its turn there.`), answer.busy) : null,
    limit !== null && limit < answer.nodes ? h("p", { class: "muted" }, `At most ${count(limit)} at once.`) : null,
    levels.length > 1 ? order(levels) : null,
    answer.order ? tiers(answer) : null,
    answer.groups?.length > 0 ? groups(answer.groups) : null,
  ];
}

/** A sentence that opens to the names behind it. */
function names(summary, set) {
  const more = set.count - set.names.length;
  return h("details", { class: "name-fold" }, h("summary", {}, summary), h("ul", { class: "plain mono small" }, set.names.map((name) => h("li", {}, name)), more > 0 ? h("li", {}, `and ${count(more)} more`) : null));
}

function bar(part, whole) {
  const fill = h("span", { class: "share-fill" });
  fill.style.width = `${whole === 0 ? 0 : Math.max(1, (part / whole) * 100)}%`;
  return h("span", { class: "share", "aria-hidden": "true" }, fill);
}

function order(levels) {
  const most = Math.max(...levels.map((level) => level.count));
  return h(
    "div",
    { class: "stack-small" },
    h("h3", {}, `In ${levels.length} steps`),
    h("p", { class: "muted small" }, "Each begins where the nodes that it depends on have finished."),
    h("ol", { class: "steps" }, levels.map((level, at) => h("li", {}, h("span", {}, at === 0 ? "at once" : `step ${at + 1}`), bar(level.count, most), h("span", { class: "right" }, count(level.count))))),
  );
}

function tiers(answer) {
  const name = (tier, at) => tier.group ?? (tier.query ? `query ${typeof tier.query === "string" ? tier.query : JSON.stringify(tier.query)}` : `tier ${at + 1}`);
  return h(
    "div",
    { class: "stack-small" },
    h("h3", {}, "Tiers"),
    h("ol", { class: "plain" }, answer.order.map((tier, at) => h("li", {}, `${typeof name(tier, at) === "string" ? name(tier, at) : `tier ${at + 1}`}: ${plural(tier.nodes.count, "node")}`))),
    answer.in_no_tier?.count > 0 ? h("p", { class: "muted small" }, `${plural(answer.in_no_tier.count, "node")} in no tier.`) : null,
    answer.rule ? h("p", { class: "muted small" }, `${answer.rule[0].toUpperCase()}${answer.rule.slice(1)}.`) : null,
  );
}

function groups(list) {
  const shown = list.slice(0, 8);
  return h(
    "div",
    { class: "stack-small" },
    h("h3", {}, "How much of which group"),
    h("ul", { class: "steps" }, shown.map((group) => h("li", {}, h("span", { class: "clip", title: group.name }, group.name), bar(group.in, group.of), h("span", { class: "right" }, `${count(group.in)} of ${count(group.of)}`)))),
    list.length > shown.length ? h("p", { class: "muted small" }, `and ${plural(list.length - shown.length, "group")} more`) : null,
  );
}

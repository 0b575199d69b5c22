// Which nodes are shown, and how: causes, a text, grid or table.

import { h } from "../dom.js";
import { button } from "../ui.js";
import { causeText } from "./words.js";

let made = 0;

/**
 * Makes the bar.
 * @param {object} host
 * @param {(change: {cause?: string, text?: string}) => void} host.filter
 * @param {(view: string) => void} host.show `grid` or `table`
 * @returns {{element: HTMLElement, update: Function}}
 */
export function filterBar({ filter, show }) {
  made += 1;
  const text = h("input", { type: "search", id: `filter-text-${made}`, autocomplete: "off", spellcheck: "false", placeholder: "Name or message" });
  const cause = h("select", { id: `filter-cause-${made}` });
  const views = ["grid", "table"].map((view) => {
    return button(view === "grid" ? "Grid" : "Table", { "data-view": view, onclick: () => show(view) });
  });
  const found = h("p", { class: "found", role: "status" });
  const element = h(
    "div",
    { class: "job-view-head" },
    h("div", { class: "grow" }, h("label", { for: text.id }, "Find nodes"), text),
    h("div", {}, h("label", { for: cause.id }, "Cause"), cause),
    h("div", { class: "views", role: "group", "aria-label": "View" }, views),
    found,
  );
  text.addEventListener("input", () => filter({ text: text.value.trim().toLowerCase() }));
  cause.addEventListener("change", () => filter({ cause: cause.value }));
  let offered = null;

  return {
    element,
    /**
     * @param {import("./model.js").JobModel} model
     * @param {{cause: string, text: string}} chosen
     * @param {string} view
     * @param {number} count how many nodes are shown
     */
    update(model, chosen, view, count) {
      const causes = model.countsByCause().map(({ cause: name }) => name).sort();
      if (chosen.cause !== "" && !causes.includes(chosen.cause)) causes.push(chosen.cause);
      if (offered !== causes.join()) {
        offered = causes.join();
        const option = (name) => h("option", { value: name }, causeText(name));
        cause.replaceChildren(h("option", { value: "" }, "any"), ...causes.map(option));
      }
      if (cause.value !== chosen.cause) cause.value = chosen.cause;
      if (document.activeElement !== text && text.value.toLowerCase() !== chosen.text) text.value = chosen.text;
      for (const one of views) one.setAttribute("aria-pressed", String(one.dataset.view === view));
      const words = count === model.size ? "" : `${count.toLocaleString("en-US")} of ${model.size.toLocaleString("en-US")} nodes`;
      if (found.textContent !== words) found.textContent = words;
    },
  };
}

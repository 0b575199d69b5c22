// The nodes as a table of which only the rows in sight exist, whatever their number.

import { h } from "../dom.js";
import { duration, timeText } from "../format.js";
import { link } from "../router.js";
import { badgeOf, causeText } from "./words.js";

const ROW = 36;
/** The room grows with its rows up to about so many. */
const SIGHT = 12;
/** Rows beyond the edges, so that scrolling does not show gaps. */
const BEYOND = 6;
const COLUMNS = [
  { key: "name", title: "Node", sorts: true },
  { key: "state", title: "State", sorts: true },
  { key: "cause", title: "Cause" },
  { key: "started", title: "Started" },
  { key: "duration", title: "Run", sorts: true },
  { key: "message", title: "Message" },
];

/**
 * Makes the table.
 * @param {object} host
 * @param {() => import("./model.js").JobModel} host.model
 * @param {(name: string) => string} host.addressOf where a node's panel is
 * @param {() => number} host.clock the service's clock
 * @param {(by: string, descending: boolean) => void} host.sort
 * @returns {{element: HTMLElement, show: Function, update: Function, tick: Function, sortedBy: Function}}
 */
export function nodesTable({ model, addressOf, clock, sort }) {
  const heads = COLUMNS.map((column) => headOf(column));
  const above = h("tr", { "aria-hidden": "true", class: "space" }, h("td", { colspan: String(COLUMNS.length) }));
  const below = h("tr", { "aria-hidden": "true", class: "space" }, h("td", { colspan: String(COLUMNS.length) }));
  const body = h("tbody", {}, above, below);
  const table = h("table", { class: "job-nodes" }, h("thead", {}, h("tr", { "aria-rowindex": "1" }, heads)), body);
  const element = h("div", { class: "job-nodes-room", role: "region", tabindex: "0", "aria-label": "Table of the nodes" }, table);

  let shown = new Uint32Array(0);
  let order = { by: "name", descending: false };
  /** The rows that exist, by their places in the list. */
  const rows = new Map();

  function headOf({ key, title, sorts }) {
    if (!sorts) return h("th", { scope: "col", class: `col-${key}` }, title);
    const button = h("button", { type: "button", class: "sort" }, title);
    button.addEventListener("click", () => sort(key, order.by === key ? !order.descending : false));
    return h("th", { scope: "col", class: `col-${key}` }, button);
  }

  function sortedBy(by, descending) {
    order = { by, descending };
    heads.forEach((head, at) => {
      if (COLUMNS[at].key === by) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  /** Shows these nodes, in this order. */
  function show(wanted) {
    shown = wanted;
    table.setAttribute("aria-rowcount", String(shown.length + 1));
    lay(true);
  }

  function lay(all) {
    const height = Math.max(element.clientHeight, ROW * SIGHT);
    const first = Math.max(0, Math.floor(element.scrollTop / ROW) - BEYOND);
    const last = Math.min(shown.length, Math.ceil((element.scrollTop + height) / ROW) + BEYOND);
    for (const [place, row] of rows) {
      if (place >= first && place < last) continue;
      row.element.remove();
      rows.delete(place);
    }
    let before = above;
    for (let place = first; place < last; place += 1) {
      let row = rows.get(place);
      if (row === undefined) {
        row = rowOf(place);
        rows.set(place, row);
        before.after(row.element);
        fill(row, shown[place]);
      } else if (all) {
        row.state = -1;
        fill(row, shown[place]);
      }
      before = row.element;
    }
    above.firstChild.style.height = `${first * ROW}px`;
    below.firstChild.style.height = `${Math.max(0, shown.length - last) * ROW}px`;
    above.hidden = first === 0;
    below.hidden = last >= shown.length;
  }

  function rowOf(place) {
    const cells = COLUMNS.map(({ key }) => h("td", { class: `col-${key}` }));
    return { element: h("tr", { "aria-rowindex": String(place + 2) }, cells), cells, at: -1, state: -1 };
  }

  function fill(row, at) {
    const jobs = model();
    const [name, state, cause, started, run, message] = row.cells;
    if (row.at !== at) {
      name.replaceChildren(link(addressOf(jobs.names[at]), jobs.names[at]));
      row.state = -1;
    }
    if (row.state !== jobs.state[at]) {
      state.replaceChildren(badgeOf(jobs.state[at]));
      cause.textContent = causeText(jobs.causeName(at));
      started.textContent = jobs.started[at] > 0 ? timeText(jobs.started[at]) : "";
      message.textContent = jobs.message(at);
      message.title = message.textContent;
    }
    run.textContent = jobs.started[at] > 0 ? duration(jobs.runTime(at, clock()) / 1000) : "";
    row.at = at;
    row.state = jobs.state[at];
  }

  /** These nodes changed. */
  function update(changed) {
    if (rows.size === 0) return;
    const among = new Set(changed);
    for (const row of rows.values()) if (among.has(row.at)) fill(row, row.at);
  }

  /** Time has passed: running nodes run longer. */
  function tick() {
    for (const row of rows.values()) if (row.state === 2) fill(row, row.at);
  }

  let asked = false;
  element.addEventListener("scroll", () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      lay(false);
    });
  }, { passive: true });
  sortedBy("name", false);
  return { element, show, update, tick, sortedBy };
}

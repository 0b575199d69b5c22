// Parts that every page is made of: buttons, fields, bars, badges, boxes, dialogs, tables, pages of a list.

import { announce, h, replace } from "./dom.js";
import { count, plural, stateLabel } from "./format.js";
import { icon } from "./icons.js";
import { link } from "./router.js";

/** The order in which states stand beside each other. */
const ORDER = ["finished", "failed", "errored", "skipped", "running", "ready", "new"];
let ids = 0;

/**
 * A new id for an element.
 * @param {string} [stem]
 * @returns {string}
 */
export function uid(stem = "u") {
  ids += 1;
  return `${stem}-${ids}`;
}

/**
 * The counts of a job in words, those that occur.
 * @param {Record<string, number>} counts state → how many
 * @returns {string} "5 finished, 1 failed"
 */
export function countsText(counts) {
  const parts = ORDER.filter((state) => counts[state] > 0).map((state) => `${count(counts[state])} ${stateLabel(state)}`);
  return parts.length === 0 ? "no nodes" : parts.join(", ");
}

/**
 * A bar by state, with the same in words for who does not see it.
 * @param {Record<string, number>} counts state → how many
 * @param {number} total
 * @returns {HTMLElement}
 */
export function stateBar(counts, total) {
  const parts = ORDER.filter((state) => counts[state] > 0).map((state) => {
    const part = h("span", { class: `bar-part state-${state}` });
    part.style.flexGrow = String(counts[state]);
    return part;
  });
  const words = `${countsText(counts)}, of ${count(total)}`;
  return h("span", { class: "state-bar", role: "img", "aria-label": words, title: words }, parts);
}

/**
 * A state with its sign, its word and its color.
 * @param {string} state of a job or a node, or `connected`, `away`
 * @param {string} [label]
 * @returns {HTMLElement}
 */
export function badge(state, label = stateLabel(state)) {
  return h("span", { class: `badge state-${state}` }, icon(state), label);
}

/**
 * A button.
 * @param {string} label
 * @param {{onclick?: (event: MouseEvent) => void, kind?: "primary"|"danger"|"quiet", icon?: string, type?: string, disabled?: boolean}
 *   & Record<string, any>} [props] any other as of `h`
 * @returns {HTMLButtonElement}
 */
export function button(label, props = {}) {
  const { kind, icon: sign, class: more, ...rest } = props;
  const names = ["button", kind && `button-${kind}`, more].filter(Boolean).join(" ");
  return h("button", { type: "button", ...rest, class: names }, sign ? icon(sign) : null, label);
}

/**
 * Writes another word on a button; its drawing stays.
 * @param {HTMLElement} element
 * @param {string} label
 */
export function setLabel(element, label) {
  const text = element.lastChild;
  if (text?.nodeType === Node.TEXT_NODE) text.nodeValue = label;
  else element.append(label);
}

/**
 * A button that waits for what it starts: it cannot be pressed twice.
 * @param {HTMLButtonElement} element
 * @param {() => Promise<any>} work
 * @returns {Promise<any>}
 */
export async function busy(element, work) {
  if (element.getAttribute("aria-busy") === "true") return undefined;
  element.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    element.removeAttribute("aria-busy");
  }
}

/**
 * A label and its control, with a hint and a place for what is wrong with it.
 * @param {{label: string, control: any, hint?: string|Node|null, required?: boolean, class?: string}} options
 * @returns {HTMLElement & {setError: (text: string|null) => void}}
 */
export function field({ label, control, hint = null, required = false, class: more = "" }) {
  control.id ||= uid("f");
  const hintId = `${control.id}-hint`;
  const errorId = `${control.id}-error`;
  const error = h("p", { class: "field-error", id: errorId, hidden: true });
  const element = h(
    "div",
    { class: `field ${more}`.trim() },
    h("label", { for: control.id }, label, required ? h("span", { class: "muted" }, " (required)") : null),
    control,
    hint ? h("p", { class: "field-hint", id: hintId }, hint) : null,
    error,
  );
  if (required) control.required = true;
  const describe = (wrong) => {
    const by = [wrong && errorId, hint && hintId].filter(Boolean).join(" ");
    if (by) control.setAttribute("aria-describedby", by);
    else control.removeAttribute("aria-describedby");
  };
  describe(false);
  element.setError = (text) => {
    error.hidden = !text;
    error.textContent = text ?? "";
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
    describe(Boolean(text));
  };
  return element;
}

/**
 * A check box that looks like a switch.
 * @param {{label: string, checked?: boolean, hint?: string|null, onchange?: (event: Event) => void, name?: string}} options
 * @returns {HTMLElement & {input: HTMLInputElement}}
 */
export function toggle({ label, checked = false, hint = null, onchange, name }) {
  const id = uid("t");
  const input = h("input", { type: "checkbox", id, name, checked, onchange, "aria-describedby": hint ? `${id}-hint` : null });
  const element = h("div", { class: "toggle" }, input, h("label", { for: id }, label), hint ? h("p", { class: "field-hint", id: `${id}-hint` }, hint) : null);
  element.input = input;
  return element;
}

/**
 * Opens a dialog; the focus returns to where it was.
 * @param {{title: string, content: any, actions?: {label: string, kind?: "primary"|"danger"|"quiet", value?: any,
 *   onclick?: (close: (value?: any) => void) => any, disabled?: boolean, ref?: (element: HTMLButtonElement) => void}[], class?: string}} options
 *   an action without `onclick` closes with its `value`; one that is refused shows why in the dialog
 * @returns {{element: HTMLDialogElement, close: (value?: any) => void, result: Promise<any>}} `result` is undefined when it was dismissed
 */
export function dialog({ title, content, actions = [], class: more = "" }) {
  const before = /** @type {HTMLElement|null} */ (document.activeElement);
  const heading = uid("d");
  const trouble = h("div", {});
  let done;
  const result = new Promise((resolve) => (done = resolve));
  let value;
  const element = h("dialog", { class: `dialog ${more}`.trim(), "aria-labelledby": heading });
  const close = (answer) => {
    value = answer;
    element.close();
  };
  const buttons = actions.map((action) => {
    const made = button(action.label, { kind: action.kind, disabled: action.disabled, ref: action.ref });
    made.addEventListener("click", () =>
      busy(made, async () => {
        replace(trouble);
        try {
          if (action.onclick) await action.onclick(close);
          else close(action.value);
        } catch (error) {
          replace(trouble, errorBox(error));
        }
      }),
    );
    return made;
  });
  replace(element, h("h2", { id: heading }, title), h("div", { class: "dialog-content" }, content), trouble, h("div", { class: "dialog-actions" }, buttons));
  element.addEventListener("close", () => {
    element.remove();
    if (before?.isConnected) before.focus();
    done(value);
  });
  // A click beside it dismisses it, as the escape key does.
  element.addEventListener("mousedown", (event) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const beside = event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom;
    if (event.target === element && beside) close();
  });
  document.body.append(element);
  element.showModal();
  return { element, close, result };
}

/**
 * Asks whether to do something.
 * @param {{title: string, content: any, label: string, kind?: "primary"|"danger", onclick?: () => Promise<any>}} options
 * @returns {Promise<boolean>} whether it was done
 */
export async function confirm({ title, content, label, kind = "primary", onclick = async () => {} }) {
  const act = async (close) => {
    await onclick();
    close(true);
  };
  return (await dialog({ title, content, actions: [{ label: "Cancel", kind: "quiet" }, { label, kind, onclick: act }] }).result) === true;
}

const TOAST_MILLISECONDS = 6000;

/**
 * Tells what has been done, for a moment.
 * @param {string} text
 * @param {"good"|"bad"} [kind]
 */
export function toast(text, kind = "good") {
  let stack = document.querySelector(".toasts");
  if (!stack) {
    stack = h("div", { class: "toasts" });
    document.body.append(stack);
  }
  const element = h("div", { class: `toast toast-${kind}` }, icon(kind === "good" ? "finished" : "warn"), h("span", {}, text));
  element.append(button("Dismiss", { kind: "quiet", onclick: () => element.remove() }));
  stack.append(element);
  announce(text);
  // Whoever reads it, or is about to press its button, keeps it.
  const go = () => (element.matches(":hover, :focus-within") ? setTimeout(go, TOAST_MILLISECONDS) : element.remove());
  setTimeout(go, TOAST_MILLISECONDS);
}

/**
 * What stands where there is nothing to show.
 * @param {string} title
 * @param {string|Node} hint what to do
 * @param {Node|null} [action]
 * @returns {HTMLElement}
 */
export function emptyState(title, hint, action = null) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", { class: "muted" }, hint), action);
}

/**
 * What went wrong, and what to do.
 * @param {any} error an ApiError or another
 * @param {(() => void)|null} [again] offered as "Try again"
 * @returns {HTMLElement}
 */
export function errorBox(error, again = null) {
  return h(
    "div",
    { class: "error-box", role: "alert" },
    icon("warn"),
    h("div", {}, h("p", { class: "error-title" }, error.msg ?? error.message), h("p", {}, nextStep(error))),
    again ? button("Try again", { onclick: again }) : null,
  );
}

/** What people call the keys that a refusal names. */
const KEYS = { params: "the parameters", scope: "the nodes", target: "the nodes", "schedule.cron": "the rhythm", "schedule.start_time": "the beginning", "schedule.interval": "the interval" };

/**
 * What who sees an error can do.
 * @param {any} error
 * @returns {string}
 */
export function nextStep(error) {
  const kind = (error.kind ?? "").split("/").pop();
  const { permission, key } = error.details ?? {};
  if (error.status === 401) return "Check what you typed, then try again.";
  if (error.status === 0) return "Look at your network and whether the service runs; then try again.";
  if (kind === "not-permitted") return permission ? `Your role lacks the permission ${permission}. Ask who manages access to bunraku.` : "Ask who manages access to bunraku.";
  if (kind === "too-many-attempts") return "Wait a minute, then try again.";
  if (kind === "unknown-job") return "It may have been removed after its time of retention. The list of jobs has those that there are.";
  if (kind === "empty-target" || kind === "empty-environment") return "Choose other nodes.";
  if (kind === "unavailable") return "The service is busy, starts or stops. Try again in a moment.";
  if (kind === "puppetdb-error") return "PuppetDB does not answer as it should. Try again, or choose nodes by a list.";
  if (kind === "unknown-error") return error.details?.outcome === "unknown" ? "It may have been done all the same: look at the list of jobs before you repeat it." : "The log of the service says more.";
  if (key) return `Change ${KEYS[key] ?? key}, then try again.`;
  if (error.status === undefined) return "Reload the page. If it stays so, the console of the browser says more.";
  if (error.status >= 500) return "Try again; the log of the service says more.";
  return "Change what you asked for, then try again.";
}

/**
 * Text to take along, with a button that copies it.
 * @param {string} text
 * @param {string} [label]
 * @returns {HTMLElement & {setText: (text: string) => void}}
 */
export function copyable(text, label = "Copy") {
  const code = h("code", {}, text);
  const copy = button(label, { icon: "copy", kind: "quiet", onclick: () => copyText(code.textContent, copy) });
  const element = h("div", { class: "copyable" }, h("pre", { tabindex: "0", role: "group", "aria-label": "Text to copy" }, code), copy);
  element.setText = (next) => {
    code.textContent = next;
  };
  return element;
}

async function copyText(text, copy) {
  try {
    await navigator.clipboard.writeText(text);
    const was = copy.textContent;
    setLabel(copy, "Copied");
    announce("Copied");
    setTimeout(() => setLabel(copy, was), 1500);
  } catch {
    // Without HTTPS or the permission, select it: the key for copying is known.
    getSelection().selectAllChildren(copy.previousElementSibling);
    toast("Press Ctrl+C to copy what is selected", "good");
  }
}

/**
 * A table; on a phone each row is a card.
 * @param {{caption: string, columns: {key: string, title: string, cell: (row: any) => any, class?: string}[], rows: any[],
 *   rowProps?: (row: any) => Record<string, any>}} options
 * @returns {HTMLTableElement}
 */
export function table({ caption, columns, rows, rowProps = () => ({}) }) {
  // Roles are said again: styles that make cards of rows take them away in some browsers.
  const head = columns.map(({ title, class: more }) => h("th", { scope: "col", role: "columnheader", class: more }, title));
  const body = rows.map((row) => tableRow(columns, row, rowProps(row)));
  return h(
    "table",
    { class: "table", role: "table" },
    h("caption", { class: "visually-hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, body),
  );
}

/**
 * One row of such a table.
 * @param {{key: string, title: string, cell: (row: any) => any, class?: string}[]} columns
 * @param {any} row
 * @param {Record<string, any>} [props]
 * @returns {HTMLTableRowElement}
 */
export function tableRow(columns, row, props = {}) {
  const cells = columns.map(({ key, title, cell, class: more }) => h("td", { role: "cell", "data-key": key, "data-label": title, class: more }, cell(row)));
  return h("tr", { ...props, role: "row" }, cells);
}

/**
 * Links to the pages of a list.
 * @param {{total: number, limit: number, offset: number, href: (offset: number) => string, noun?: string}} options
 * @returns {HTMLElement}
 */
export function pager({ total, limit, offset, href, noun = "item" }) {
  const last = Math.min(total, offset + limit);
  const words = total === 0 ? `no ${noun}s` : total <= limit && offset === 0 ? plural(total, noun) : `${count(offset + 1)}–${count(last)} of ${plural(total, noun)}`;
  const to = (label, sign, at, there) =>
    there ? link(href(at), { class: "button", rel: sign === "left" ? "prev" : "next" }, icon(sign), label) : h("span", { class: "button", "aria-disabled": "true" }, icon(sign), label);
  const many = total > limit || offset > 0;
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    h("span", { class: "muted" }, words),
    many ? [to("Newer", "left", Math.max(0, offset - limit), offset > 0), to("Older", "right", offset + limit, last < total)] : null,
  );
}

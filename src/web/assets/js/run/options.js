// How it runs: only simulated or not, how many at once, what for; and for Puppet runs what else its agents may be told.

import { h, setText } from "../dom.js";
import { field, toggle } from "../ui.js";

const SIMULATES = "Shows what would change and changes nothing.";
const CANNOT = "This task does not know how to simulate.";

/**
 * The options of a run.
 * @param {{changed: () => void, given: URLSearchParams}} options
 * @returns {{element: HTMLElement, values: () => Record<string, any>, draw: (type: string, simulates: boolean) => void,
 *   check: () => boolean, setError: (key: string, text: string|null) => boolean, query: () => Record<string, string|number|null>}}
 *   `values`: keys of the command, those that are not at their default; `draw`: `simulates` says whether the task can
 */
export function runOptions({ changed, given }) {
  const edit = (props) => h("input", { autocomplete: "off", spellcheck: "false", oninput: edited, ...props });
  const noop = toggle({ label: "Only simulate (noop)", checked: given.get("noop") === "true", hint: SIMULATES, onchange: changed });
  const noNoop = toggle({ label: "Make changes everywhere", hint: "Also on nodes whose own configuration says noop.", onchange: edited });
  const inputs = {
    concurrency: edit({ type: "number", min: "1", step: "1", value: given.get("concurrency") ?? "", placeholder: "no limit" }),
    description: edit({ value: given.get("description") ?? "", placeholder: "What is it for?" }),
    tags: edit({ value: given.get("tags") ?? "", placeholder: "profile::web,motd" }),
    skip_tags: edit({}),
    timeout: edit({ type: "number", min: "1", step: "1", placeholder: "as configured" }),
  };
  const fields = {
    concurrency: field({ label: "At most at once", control: inputs.concurrency, hint: "Nodes of this job." }),
    description: field({ label: "Description", control: inputs.description }),
    tags: field({ label: "Only these tags", control: inputs.tags, hint: "Separated by commas." }),
    skip_tags: field({ label: "Without these tags", control: inputs.skip_tags }),
    timeout: field({ label: "Longest time of a node", control: inputs.timeout, hint: "In minutes." }),
  };
  const more = h(
    "details",
    { class: "more", open: given.has("tags") },
    h("summary", {}, "More options"),
    h("div", { class: "stack more-options" }, noNoop, h("div", { class: "pair" }, fields.tags, fields.skip_tags, fields.timeout)),
  );
  const element = h("div", { class: "stack" }, noop, h("div", { class: "pair" }, fields.concurrency, fields.description), more);
  let deploy = true;

  function edited(event) {
    // Both at once make no sense, and the later word counts.
    if (event.target === noNoop.input && noNoop.input.checked) noop.input.checked = false;
    for (const one of Object.values(fields)) one.setError(null);
    changed();
  }
  noop.input.addEventListener("change", () => {
    if (noop.input.checked) noNoop.input.checked = false;
  });

  function values() {
    const found = {};
    if (noop.input.checked) found.noop = true;
    const concurrency = Math.floor(Number(inputs.concurrency.value));
    if (concurrency > 0) found.concurrency = concurrency;
    const description = inputs.description.value.trim();
    if (description !== "") found.description = description;
    if (!deploy) return found;
    if (noNoop.input.checked) found.no_noop = true;
    for (const key of ["tags", "skip_tags"]) {
      const text = inputs[key].value.replaceAll(/\s+/g, "");
      if (text !== "") found[key] = text;
    }
    const minutes = Number(inputs.timeout.value);
    if (minutes > 0) found.timeout = Math.round(minutes * 60);
    return found;
  }

  return {
    element,
    values,
    draw(type, simulates) {
      deploy = type === "deploy";
      more.hidden = !deploy;
      noop.input.disabled = !simulates;
      if (!simulates) noop.input.checked = false;
      setText(noop.querySelector(".field-hint"), simulates ? SIMULATES : CANNOT);
    },
    check() {
      for (const key of ["concurrency", "timeout"]) {
        const text = inputs[key].value;
        if (text === "" ? inputs[key].validity.badInput : !(Number(text) >= 1)) {
          fields[key].setError("This must be 1 or more");
          inputs[key].focus();
          return false;
        }
      }
      return true;
    },
    setError(key, text) {
      if (!(key in fields)) return false;
      if (more.contains(fields[key])) more.open = true;
      fields[key].setError(text);
      inputs[key].focus();
      return true;
    },
    query() {
      const { tags = null, concurrency = null, noop: simulate } = values();
      return { noop: simulate ? "true" : null, concurrency, tags };
    },
  };
}

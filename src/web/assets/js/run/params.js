// The parameters of a task as a form, made from its metadata.

import { h, replace } from "../dom.js";
import { emptyState, field } from "../ui.js";
import { BadValue, controlFor, openly, parametersOf, valueOf } from "./types.js";

/**
 * The form of parameters.
 * @param {() => void} changed called when a value has changed
 * @returns {{element: HTMLElement, show: (metadata: object|null, given?: Record<string, string>) => void,
 *   values: (loud?: boolean) => {params: Record<string, any>, sensitive: string[], good: boolean},
 *   setError: (name: string, text: string|null) => boolean}} `values(true)` shows at the fields what is wrong
 */
export function paramsForm(changed) {
  const element = h("div", { class: "stack params" });
  let fields = [];

  function show(metadata, given = {}) {
    const { parameters, odd } = parametersOf(metadata);
    fields = parameters.map(([name, parameter]) => make(name, parameter, given[name] ?? "", odd.includes(name)));
    // Those that must be there come first.
    fields.sort((a, b) => Number(a.control.optional) - Number(b.control.optional));
    if (metadata === null) replace(element);
    else if (fields.length === 0) replace(element, metadata.parameters ? h("p", { class: "muted" }, "This task takes no parameters.") : emptyState("Parameters are not described", "This task has no metadata that names them."));
    else replace(element, fields.map((one) => one.element));
  }

  function make(name, described, text, odd) {
    const control = controlFor(described);
    const parameter = openly(described, control);
    const input = inputFor(control, parameter, text);
    input.name = `param-${name}`;
    const hint = [odd && "The task's metadata does not describe it.", sentence(parameter.description), parameter.default !== undefined && `Default: ${shown(parameter.default)}.`, hintOf(control)].filter(Boolean).join(" ");
    const type = h("code", { class: "type" }, parameter.type ?? "Any");
    const made = field({ label: name, control: input, required: !control.optional, hint: h("span", {}, type, hint ? ` ${hint}` : ""), class: "param" });
    // The service says what is missing; the browser's own bubbles would stand in the way of a dry look.
    input.required = false;
    if (!control.optional) input.setAttribute("aria-required", "true");
    input.addEventListener("input", () => {
      made.setError(null);
      changed();
    });
    return { name, control, input, element: made };
  }

  function values(loud = false) {
    const params = {};
    const sensitive = fields.filter(({ control }) => control.sensitive).map(({ name }) => name);
    let good = true;
    for (const one of fields) {
      try {
        const value = valueOf(one.control, one.input.value);
        if (value !== undefined) params[one.name] = value;
        else if (!one.control.optional) throw new BadValue("This is needed");
        if (loud) one.element.setError(null);
      } catch (error) {
        if (!(error instanceof BadValue)) throw error;
        if (loud) {
          one.element.setError(error.message);
          if (good) one.input.focus();
        }
        good = false;
      }
    }
    return { params, sensitive, good };
  }

  return {
    element,
    show,
    values,
    setError(name, text) {
      const one = fields.find((other) => other.name === name);
      one?.element.setError(text);
      if (one && text) one.input.focus();
      return one !== undefined;
    },
  };
}

function sentence(text) {
  return typeof text === "string" && text !== "" && !/[.!?]$/.test(text.trim()) ? `${text.trim()}.` : text;
}

function inputFor(control, parameter, text) {
  if (control.sensitive) return h("input", { type: "password", autocomplete: "off", value: text });
  const unset = parameter.default !== undefined ? `default (${shown(parameter.default)})` : control.optional ? "not given" : "choose…";
  const choice = (options) => h("select", { value: text }, h("option", { value: "" }, unset), options.map((option) => h("option", { value: option }, option)));
  switch (control.kind) {
    case "boolean":
      return choice(["true", "false"]);
    case "enum":
      return choice(control.options);
    case "number":
      return h("input", { type: "text", inputmode: control.whole ? "numeric" : "decimal", autocomplete: "off", value: text, placeholder: placeholder(parameter) });
    case "json":
      return h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: text, placeholder: placeholder(parameter) || (/^(Optional\[)?Hash|Struct/.test(parameter.type ?? "") ? '{"key": "value"}' : '["value"]') });
    default:
      return h("textarea", { rows: "1", class: "autogrow", spellcheck: "false", value: text, placeholder: placeholder(parameter) });
  }
}

function placeholder(parameter) {
  return parameter.default === undefined || parameter.default === null ? "" : shown(parameter.default);
}

function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function hintOf(control) {
  if (control.sensitive) return "Secret: it is not kept with the job.";
  if (control.kind === "json") return "As JSON.";
  if (control.kind === "any") return "JSON, or else a text.";
  return "";
}

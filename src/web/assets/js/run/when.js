// When it runs: now, or at a time, maybe again and again.

import { h } from "../dom.js";
import { field } from "../ui.js";

const UNITS = [
  ["60", "minutes"],
  ["3600", "hours"],
  ["86400", "days"],
  ["604800", "weeks"],
];

/**
 * The choice of time.
 * @param {() => void} changed
 * @returns {{element: HTMLElement, later: () => boolean, schedule: () => object|null, check: () => boolean,
 *   setError: (key: string, text: string) => boolean, setLater: (later: boolean) => void}}
 */
export function when(changed) {
  const mode = segments("when", "When", [["now", "Now"], ["later", "On a schedule"]], draw);
  const repeat = segments("repeat", "Repeat", [["once", "Once"], ["interval", "At an interval"], ["cron", "By cron"]], draw);
  const start = h("input", { type: "datetime-local", value: localText(nextHour()) });
  const every = h("input", { type: "number", min: "1", step: "1", value: "1" });
  const unit = h("select", { "aria-label": "Unit", value: "86400" }, UNITS.map(([value, label]) => h("option", { value }, label)));
  const cron = h("input", { class: "mono", autocomplete: "off", spellcheck: "false", value: "30 2 * * *" });
  const zone = h("input", { autocomplete: "off", spellcheck: "false", list: "zones", value: ownZone() });
  const fields = {
    start_time: field({ label: "Begin", control: start, hint: `Your time, ${ownZone()}.`, required: true }),
    interval: field({ label: "Every", control: every }),
    cron: field({ label: "Cron expression", control: cron, hint: "Minute, hour, day of the month, month, day of the week. “30 2 * * 1” is each Monday at 02:30." }),
    timezone: field({ label: "Time zone", control: zone, hint: "The expression follows its wall clock, also when summer time changes." }),
  };
  fields.interval.querySelector("input").after(unit);
  fields.interval.classList.add("interval");
  start.required = false;
  const details = h("div", { class: "stack" }, repeat.element, fields.start_time, fields.interval, h("div", { class: "pair" }, fields.cron, fields.timezone), zones());
  const element = h("div", { class: "stack" }, mode.element, details);
  for (const control of [start, every, unit, cron, zone]) {
    control.addEventListener("input", () => {
      for (const one of Object.values(fields)) one.setError(null);
      changed();
    });
  }

  function draw() {
    details.hidden = mode.value() !== "later";
    fields.interval.hidden = repeat.value() !== "interval";
    fields.cron.parentElement.hidden = repeat.value() !== "cron";
    changed();
  }

  details.hidden = true;
  fields.interval.hidden = true;
  fields.cron.parentElement.hidden = true;

  return {
    element,
    later: () => mode.value() === "later",
    schedule() {
      if (mode.value() !== "later") return null;
      const at = new Date(start.value);
      const schedule = { start_time: Number.isNaN(at.getTime()) ? "" : `${at.toISOString().slice(0, 19)}Z`, interval: null };
      if (repeat.value() === "interval") schedule.interval = { units: "seconds", value: Math.round(Number(every.value) * Number(unit.value)) };
      if (repeat.value() === "cron") Object.assign(schedule, { cron: cron.value.trim(), timezone: zone.value.trim() || "UTC" });
      return schedule;
    },
    check() {
      if (mode.value() !== "later") return true;
      const at = new Date(start.value).getTime();
      const wrong = (key, text) => {
        fields[key].setError(text);
        fields[key].querySelector("input").focus();
        return false;
      };
      if (Number.isNaN(at)) return wrong("start_time", "Say when it begins");
      if (at <= Date.now()) return wrong("start_time", "This lies in the past");
      if (repeat.value() === "interval" && !(Number(every.value) > 0)) return wrong("interval", "This must be more than nothing");
      if (repeat.value() === "cron" && cron.value.trim().split(/\s+/).length !== 5) return wrong("cron", "An expression has five fields");
      return true;
    },
    setError(key, text) {
      fields[key]?.setError(text);
      return key in fields;
    },
    setLater(later) {
      mode.set(later ? "later" : "now");
      draw();
    },
  };
}

function segments(name, legend, options, onchange) {
  const inputs = options.map(([value], at) => h("input", { type: "radio", name, value, checked: at === 0, onchange }));
  const element = h("fieldset", { class: "segments wrap" }, h("legend", { class: "visually-hidden" }, legend), options.map(([, label], at) => h("label", { class: "segment" }, inputs[at], h("span", {}, label))));
  return {
    element,
    value: () => inputs.find((input) => input.checked).value,
    set(value) {
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}

function nextHour() {
  const at = new Date();
  at.setHours(at.getHours() + 1, 0, 0, 0);
  return at;
}

/** As inputs of times have it. */
function localText(at) {
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

function ownZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

function zones() {
  const known = Intl.supportedValuesOf?.("timeZone") ?? [];
  return h("datalist", { id: "zones" }, ["UTC", ...known.filter((zone) => zone !== "UTC")].map((value) => h("option", { value })));
}

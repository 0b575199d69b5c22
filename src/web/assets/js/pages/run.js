// Runs Puppet or a task, now or on a schedule: what, where, how, when, and beside it what that would be.

import { apiBase, get, may, post } from "../api.js";
import { debounce, h, replace } from "../dom.js";
import { count, plural } from "../format.js";
import { icon } from "../icons.js";
import { keepNodes, keptNodes } from "../node-set.js";
import { navigate, setQuery } from "../router.js";
import { runOptions } from "../run/options.js";
import { paramsForm } from "../run/params.js";
import { livePreview } from "../run/preview.js";
import { callOf, commandBody, curlOf, fieldOf, taskPath } from "../run/request.js";
import { targets } from "../run/targets.js";
import { when } from "../run/when.js";
import { busy, button, copyable, dialog, emptyState, errorBox, field, setLabel, toast } from "../ui.js";

/** More nodes than this are confirmed by typing how many. */
const MANY = 50;
/** How the address says that there is no environment: what is empty is left out there. */
const NONE = "@none";
/** @type {{value: "deploy"|"task", label: string, needs: string}[]} */
const TYPES = [
  { value: "deploy", label: "Puppet run", needs: "puppet_agent:run" },
  { value: "task", label: "Task", needs: "tasks:run" },
];

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ main, title, query, onLeave, signal }) {
  title("Run");
  const types = TYPES.filter(({ needs }) => may(needs));
  if (types.length === 0) {
    replace(main, h("h1", {}, "Run"), emptyState("Your role does not run anything", "It lacks the permissions puppet_agent:run and tasks:run. Ask who manages access to bunraku."));
    return;
  }
  const wanted = query.get("task") ? "task" : query.get("type");
  /** @type {"deploy"|"task"} */
  let type = types.find(({ value }) => value === wanted)?.value ?? types[0].value;
  let answer = null;
  let metadata = null;
  let retryKey = null;
  let ready = false;

  const radios = types.map(({ value, label }) => {
    const input = h("input", { type: "radio", name: "type", value, checked: value === type, onchange: () => setType(value) });
    return h("label", { class: "segment" }, input, h("span", {}, label));
  });
  const first = query.get("environment") === NONE ? "" : (query.get("environment") ?? "production");
  const environment = h("select", {}, h("option", { value: first }, first));
  const environmentField = field({ label: "Environment", control: environment });
  const task = h("input", { list: "tasks", autocomplete: "off", autocapitalize: "none", spellcheck: "false", value: query.get("task") ?? "", placeholder: "module::task" });
  const tasks = h("datalist", { id: "tasks" });
  const about = h("p", { class: "muted" });
  const taskField = field({ label: "Task", control: task, hint: "Type a part of its name." });
  const params = paramsForm(() => changed());
  const where = targets({ changed: () => changed(), given: { nodes: keptNodes(query), query: query.get("query") ?? "", group: query.get("group") ?? "", application: query.get("application") ?? "", all: query.get("all") === "true" } });
  const how = runOptions({ changed: () => changed(), given: query });
  const time = when(() => changed());
  const submit = button("Run", { kind: "primary", type: "submit", icon: "play" });
  const preview = livePreview({
    body: () => (ready && where.scope() && (type === "deploy" || metadata) ? commandBody({ ...wish(), options: seen(how.values()) }) : null),
    leaveOut: (names) => where.kind() === "nodes" && (() => where.leaveOut(names)),
    onAnswer(next) {
      answer = next;
      drawSubmit();
    },
    signal,
  });
  const trouble = h("div", {});
  const call = copyable("", "Copy");
  const shell = h("details", { class: "more", ontoggle: () => drawCall() }, h("summary", {}, "Copy the API call"), call);
  const taskPart = h("div", { class: "stack" }, about, params.element);

  const form = h(
    "form",
    { class: "run", novalidate: true, "aria-label": "Run", onsubmit: send },
    h(
      "div",
      { class: "stack" },
      card("What", h("fieldset", { class: "segments" }, h("legend", { class: "visually-hidden" }, "What runs"), radios), h("div", { class: "pair" }, environmentField, taskField), tasks, taskPart),
      card("Where", where.element),
      card("How", how.element),
      card("When", time.element),
    ),
    h("div", { class: "stack side" }, preview.element, trouble, submit, shell),
  );
  replace(main, h("h1", {}, "Run"), form);

  environment.addEventListener("change", () => setEnvironment());
  const typed = debounce(300, () => loadTask());
  task.addEventListener("input", typed);
  const remember = debounce(400, keepInAddress);
  onLeave(() => {
    typed.cancel();
    remember.cancel();
    preview.stop();
  });
  if (query.get("when") === "later") time.setLater(true);
  setType(type);
  ready = true;
  await Promise.all([loadEnvironments(), setEnvironment()]);
  changed();

  /** @returns {import("../run/request.js").Wish} */
  function wish() {
    const { params: given, sensitive } = type === "task" ? params.values() : { params: {}, sensitive: [] };
    return { type, environment: environment.value, scope: where.scope(), task: task.value.trim(), params: given, sensitive, options: how.values(), schedule: time.schedule() };
  }

  function changed() {
    if (!ready) return;
    replace(trouble);
    drawCall();
    drawSubmit();
    preview.changed();
    remember();
  }

  /** Ten thousand names are not written where nobody looks. */
  async function drawCall() {
    if (!shell.open) return;
    const base = await apiBase();
    call.setText(curlOf(base, wish()));
  }

  function drawSubmit() {
    const verb = how.values().noop ? "Simulate" : "Run";
    const on = answer ? ` on ${plural(answer.nodes, "node")}` : "";
    setLabel(submit, time.later() ? "Schedule it" : `${verb}${on}`);
  }

  function setType(next) {
    type = next;
    taskPart.hidden = type !== "task";
    taskField.hidden = type !== "task";
    where.setType(type);
    drawOptions();
    fillNone();
    changed();
  }

  /** A task simulates only where its author has provided for it. */
  function drawOptions() {
    how.draw(type, type === "deploy" || metadata === null || metadata.noop);
  }

  /** Only Puppet runs do without an environment. */
  function fillNone() {
    const none = [...environment.options].find(({ value }) => value === "");
    if (none) none.disabled = type === "task";
    if (type === "task" && environment.value === "") environment.value = "production";
  }

  async function loadEnvironments() {
    const now = environment.value;
    try {
      const { items } = await get("/orchestrator/v1/environments", { signal });
      const names = [...new Set([...items.map(({ name }) => name), now].filter(Boolean))].sort();
      replace(environment, names.map((name) => h("option", { value: name }, name)), h("option", { value: "" }, "each node’s own, in no order"));
      environment.value = now;
      fillNone();
    } catch (error) {
      if (error.name !== "AbortError") environmentField.setError(`Environments are not known: ${error.message}`);
    }
  }

  async function setEnvironment() {
    where.setEnvironment(environment.value);
    environmentField.setError(null);
    changed();
    if (!may("tasks:run")) return;
    try {
      const { items } = await get(`/orchestrator/v1/tasks?environment=${encodeURIComponent(environment.value || "production")}`, { signal });
      const mine = items.filter(({ permitted, private: hidden }) => permitted !== false && !hidden);
      replace(tasks, mine.map(({ name, description: text }) => h("option", { value: name }, text ?? "")));
    } catch {
      // They are only offered; what is typed is checked by the service.
    }
    await loadTask(true);
  }

  async function loadTask(anew = false) {
    const name = task.value.trim();
    if (!anew && metadata?.of === name) return;
    metadata = null;
    taskField.setError(null);
    if (!/^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)?$/.test(name)) {
      replace(about);
      params.show(null);
      changed();
      return;
    }
    try {
      const found = await get(taskPath(name, environment.value || "production"), { signal });
      if (task.value.trim() !== name) return;
      metadata = { of: name, noop: found.metadata?.supports_noop === true };
      drawOptions();
      replace(about, found.metadata?.description ?? "");
      /** @type {Record<string, string>} */
      const given = {};
      for (const [key, value] of query) if (key.startsWith("param.")) given[key.slice(6)] = value;
      params.show(found.metadata ?? {}, given);
    } catch (error) {
      if (error.name === "AbortError" || task.value.trim() !== name) return;
      replace(about);
      params.show(null);
      // While a name is typed, its beginnings are no tasks.
      if (error.status !== 404 || document.activeElement !== task) taskField.setError(error.message);
    }
    changed();
  }

  function keepInAddress() {
    const nodes = where.query();
    if (nodes.nodes === "@kept") keepNodes(where.scope().nodes);
    setQuery({ ...nodes, ...how.query(), type: type === "deploy" ? null : type, task: type === "task" ? task.value.trim() : null, environment: environment.value === "production" ? null : environment.value || NONE, when: time.later() ? "later" : null });
  }

  /** Whether all is there; says at the fields what is not. */
  function complete() {
    if (type === "task" && task.value.trim() === "") return refuse(taskField, task, "Choose a task");
    if (type === "task" && metadata && !params.values(true).good) return false;
    if (!where.scope()) {
      where.setError(where.kind() === "nodes" ? "Name at least one node" : "This is needed");
      return false;
    }
    return how.check() && time.check();
  }

  async function send(event) {
    event.preventDefault();
    replace(trouble);
    for (const one of [environmentField, taskField]) one.setError(null);
    if (!complete()) return;
    await busy(submit, async () => {
      try {
        // What is confirmed is what there is at this moment.
        const { nodes } = await preview.now();
        if (nodes > MANY && !(await confirmMany(nodes, wish()))) return;
        await start();
      } catch (error) {
        if (error.name !== "AbortError") show(error);
      }
    });
  }

  async function start() {
    const { path, body } = callOf(wish());
    const text = JSON.stringify([path, body]);
    // Asking again after a lost connection does nothing twice.
    if (retryKey?.text !== text) retryKey = { text, key: randomKey() };
    try {
      const made = await post(path, body, { key: retryKey.key });
      retryKey = null;
      if (made.job) navigate(`/jobs/${made.job.name}`);
      else {
        toast(`Schedule ${made.scheduled_job.name} is made`);
        navigate("/schedules");
      }
    } catch (error) {
      if (error.status >= 400 && error.status < 500) retryKey = null;
      throw error;
    }
  }

  function show(error) {
    replace(trouble, errorBox(error));
    const key = fieldOf(error);
    if (key === null) return;
    if (key.startsWith("params.") && params.setError(key.slice(7), error.message)) return;
    if (key === "scope") where.setError(error.message);
    else if (key === "task") refuse(taskField, task, error.message);
    else if (key === "environment") refuse(environmentField, environment, error.message);
    else if (!how.setError(key, error.message)) time.setError(key, error.message);
  }
}

function card(heading, ...content) {
  const id = `part-${heading.toLowerCase()}`;
  return h("section", { class: "card stack", "aria-labelledby": id }, h("h2", { id }, heading), content);
}

function refuse(of, control, text) {
  of.setError(text);
  control.focus();
  return false;
}

/**
 * What a description says changes nothing of what runs.
 * @param {Record<string, any>} options
 */
function seen(options) {
  const { description, ...rest } = options;
  return rest;
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Many nodes are not begun by a slip of the hand. */
async function confirmMany(nodes, wish) {
  const input = h("input", { inputmode: "numeric", autocomplete: "off" });
  let go;
  const content = h(
    "div",
    { class: "stack" },
    h("p", {}, wish.type === "task" ? `The task ${wish.task}` : "Puppet", wish.schedule ? " will run on " : " runs on ", h("strong", {}, plural(nodes, "node")), wish.options.noop ? ", and only simulates." : "."),
    wish.options.concurrency ? null : h("p", { class: "warn" }, icon("warn"), "There is no limit of how many at once."),
    field({ label: `Type ${nodes} to go on`, control: input }),
  );
  const typed = () => Number(input.value.replaceAll(/[\s,.]/g, "")) === nodes;
  const opened = dialog({ title: `${count(nodes)} nodes?`, content, actions: [{ label: "Cancel", kind: "quiet" }, { label: wish.schedule ? "Schedule it" : "Run", kind: "primary", value: true, disabled: true, ref: (made) => (go = made) }] });
  input.addEventListener("input", () => (go.disabled = !typed()));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && typed()) opened.close(true);
  });
  input.focus();
  return (await opened.result) === true;
}

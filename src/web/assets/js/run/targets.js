// Which nodes: by a list, a query, a group, an application, or all of the environment.

import { get, may } from "../api.js";
import { h, replace, setText } from "../dom.js";
import { plural } from "../format.js";
import { namesIn } from "../node-set.js";
import { field } from "../ui.js";

const KINDS = [
  { kind: "nodes", label: "Nodes", types: ["deploy", "task"] },
  { kind: "query", label: "Query", types: ["deploy", "task"], needs: "nodes:view_data" },
  { kind: "group", label: "Group", types: ["deploy", "task"], needs: "node_groups:view" },
  { kind: "application", label: "Application", types: ["deploy"] },
  { kind: "all", label: "Whole environment", types: ["deploy"] },
];

/**
 * The choice of nodes.
 * @param {{changed: () => void, given: {nodes: string[], query: string, group: string, application: string, all: boolean}}} options
 * @returns {{element: HTMLElement, scope: () => object|null, kind: () => string, setType: (type: string) => void,
 *   leaveOut: (names: string[]) => void, setEnvironment: (environment: string) => void, setError: (text: string|null) => void, query: () => Record<string, string|null>}}
 *   `query`: what of it can stand in the address
 */
export function targets({ changed, given }) {
  let kind = given.nodes.length > 0 ? "nodes" : given.query ? "query" : given.group ? "group" : given.application ? "application" : given.all ? "all" : "nodes";
  const names = h("textarea", { rows: "4", class: "mono", spellcheck: "false", autocapitalize: "none", value: given.nodes.join("\n"), placeholder: "a.example.com\nb.example.com" });
  const query = h("textarea", { rows: "3", class: "mono", spellcheck: "false", value: given.query, placeholder: 'inventory[certname] { facts.role = "web" }' });
  const group = h("select", {}, h("option", { value: "" }, "loading…"));
  const application = h("input", { list: "applications", autocomplete: "off", spellcheck: "false", value: given.application, placeholder: "Shop[eu]" });
  const offered = h("datalist", { id: "applications" });
  const counted = h("span", {}, "One on each line, or separated by commas.");
  const fields = {
    nodes: field({ label: "Certnames", control: names, hint: counted }),
    query: field({ label: "PuppetDB query", control: query, hint: "PQL, or a query as a JSON array. What it finds at the moment of the run counts." }),
    group: field({ label: "Node group", control: group, hint: "Its nodes at the moment of the run." }),
    application: field({ label: "Application", control: application, hint: "Type, or Type[title] for one instance of it. Its nodes run in the order of their dependencies." }),
    all: h("p", { class: "field-hint" }, "Every node of the environment, in its order."),
  };
  fields.all.setError = (text) => fields.nodes.setError(text);
  const radios = KINDS.filter(({ needs }) => !needs || may(needs)).map((one) => {
    const input = h("input", { type: "radio", name: "target", value: one.kind, onchange: () => choose(one.kind) });
    return { ...one, input, element: h("label", { class: "segment" }, input, h("span", {}, one.label)) };
  });
  const element = h("div", { class: "stack" }, h("fieldset", { class: "segments wrap" }, h("legend", { class: "visually-hidden" }, "Choose nodes by"), radios.map((radio) => radio.element)), Object.values(fields), offered);
  for (const control of [names, query, group, application]) {
    control.addEventListener("input", () => {
      fields[kind].setError(null);
      countNames();
      changed();
    });
  }
  countNames();
  let groupsWanted = given.group;

  function countNames() {
    const found = namesIn(names.value).length;
    setText(counted, found === 0 ? "One on each line, or separated by commas." : `${plural(found, "certname")}.`);
  }

  function choose(next) {
    kind = next;
    for (const radio of radios) radio.input.checked = radio.kind === kind;
    for (const [name, one] of Object.entries(fields)) one.hidden = name !== kind;
    if (kind === "group") loadGroups();
    changed();
  }

  async function loadGroups() {
    if (groupsWanted === null) return;
    const wanted = groupsWanted;
    groupsWanted = null;
    try {
      const { items } = await get("/bunraku/v1/groups");
      // A group without a rule matches nobody.
      const usable = items.filter(({ rule, id, name }) => rule !== null || id === wanted || name === wanted);
      const chosen = usable.find(({ id, name }) => id === wanted || name === wanted);
      replace(group, h("option", { value: "" }, usable.length === 0 ? "there are no groups with a rule" : "choose…"), usable.map(({ id, name }) => h("option", { value: id }, name)));
      group.value = chosen?.id ?? "";
      if (chosen) changed();
    } catch (error) {
      groupsWanted = wanted;
      replace(group, h("option", { value: "" }, "groups are not known"));
      fields.group.setError(error.message);
    }
  }

  async function loadApplications(environment) {
    replace(offered);
    try {
      const { items } = await get(`/orchestrator/v1/environments/${encodeURIComponent(environment)}/instances`);
      const all = items.flatMap(({ type, title }) => [`${type}[${title}]`, type]);
      replace(offered, [...new Set(all)].map((value) => h("option", { value })));
    } catch {
      // They are only offered; what is typed is checked by the service.
    }
  }

  choose(radios.some((radio) => radio.kind === kind) ? kind : "nodes");

  return {
    element,
    kind: () => kind,
    scope() {
      const found = namesIn(names.value);
      if (kind === "nodes") return found.length > 0 ? { nodes: found } : null;
      if (kind === "query") return query.value.trim() === "" ? null : { query: queryValue(query.value.trim()) };
      if (kind === "group") return group.value === "" ? null : { node_group: group.value };
      if (kind === "application") return application.value.trim() === "" ? null : { application: application.value.trim() };
      return { whole_environment: true };
    },
    setType(type) {
      for (const radio of radios) radio.element.hidden = !radio.types.includes(type);
      if (!KINDS.find((one) => one.kind === kind).types.includes(type)) choose("nodes");
    },
    leaveOut(gone) {
      const out = new Set(gone);
      names.value = namesIn(names.value).filter((name) => !out.has(name)).join("\n");
      countNames();
      changed();
      names.focus();
    },
    setEnvironment: loadApplications,
    setError(text) {
      fields[kind].setError(text);
      if (text) fields[kind].querySelector("input, select, textarea")?.focus();
    },
    query() {
      const found = namesIn(names.value);
      return {
        nodes: kind === "nodes" && found.length > 0 && found.length <= 100 ? found.join(",") : kind === "nodes" && found.length > 100 ? "@kept" : null,
        query: kind === "query" ? query.value.trim() : null,
        group: kind === "group" ? group.value : null,
        application: kind === "application" ? application.value.trim() : null,
        all: kind === "all" ? "true" : null,
      };
    },
  };
}

/** A query in JSON is an array; everything else is PQL. */
function queryValue(text) {
  if (!text.startsWith("[")) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

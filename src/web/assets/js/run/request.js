// The call that the form stands for: where it goes and what it says. No DOM.

const DEPLOY = "/orchestrator/v1/command/deploy";
const TASK = "/orchestrator/v1/command/task";
const SCHEDULE = "/orchestrator/v1/scheduled_jobs/environment_jobs";

/**
 * What the form says.
 * @typedef {object} Wish
 * @property {"deploy"|"task"} type
 * @property {string} environment
 * @property {object|null} scope
 * @property {string} task
 * @property {Record<string, any>} params
 * @property {string[]} sensitive names among the parameters
 * @property {Record<string, any>} options noop, concurrency, description and so on: keys of the command
 * @property {object|null} schedule null: now
 */

/**
 * The body of the command, as it would run now.
 * @param {Wish} wish
 * @returns {object}
 */
export function commandBody(wish) {
  const body = { environment: wish.environment };
  if (wish.type === "task") Object.assign(body, { task: wish.task, params: wish.params });
  if (wish.scope) body.scope = wish.scope;
  return Object.assign(body, wish.options);
}

/**
 * The call.
 * @param {Wish} wish
 * @returns {{path: string, body: object}}
 */
export function callOf(wish) {
  if (!wish.schedule) return { path: wish.type === "task" ? TASK : DEPLOY, body: commandBody(wish) };
  const { environment, description, task, params, ...input } = commandBody(wish);
  if (wish.type === "task") {
    input.name = task;
    input.parameters = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, { value }]));
  }
  const body = { type: wish.type, environment, input, schedule: wish.schedule };
  if (description) body.description = description;
  return { path: SCHEDULE, body };
}

/**
 * The call for a shell; secrets are not in it.
 * @param {string} origin
 * @param {Wish} wish
 * @returns {string}
 */
export function curlOf(origin, wish) {
  const hidden = Object.fromEntries(Object.entries(wish.params).map(([name, value]) => [name, wish.sensitive.includes(name) ? "SECRET" : value]));
  const { path, body } = callOf({ ...wish, params: hidden });
  const json = JSON.stringify(body, null, 1).replaceAll("'", String.raw`'\''`);
  return `curl -sS -H "X-Authentication: $TOKEN" -H "Content-Type: application/json" \\\n  '${origin}${path}' -d '${json}'`;
}

/**
 * The address path of a task's metadata.
 * @param {string} task `module` or `module::name`
 * @param {string} environment
 * @returns {string}
 */
export function taskPath(task, environment) {
  const [module, name = "init"] = task.split("::");
  return `/orchestrator/v1/tasks/${encodeURIComponent(module)}/${encodeURIComponent(name)}?environment=${encodeURIComponent(environment)}`;
}

/**
 * The field that a refusal is about.
 * @param {{kind?: string, msg?: string, details?: Record<string, any>}} error
 * @returns {string|null} a key of the command, or `params.<name>`
 */
export function fieldOf(error) {
  const kind = (error.kind ?? "").split("/").pop();
  const key = error.details?.key;
  const parameter = /\bparameter ([a-z]\w*)/.exec(error.msg ?? "");
  if (parameter && (key === undefined || /^(params|input)/.test(key))) return `params.${parameter[1]}`;
  if (/\btime zone\b/.test(error.msg ?? "")) return "timezone";
  if (kind === "invalid-time") return "start_time";
  if (kind === "unknown-task") return "task";
  if (kind === "unknown-environment" || kind === "empty-environment") return "environment";
  if (kind === "empty-target" || kind === "query-error" || kind === "puppetdb-error") return "scope";
  if (typeof key !== "string") return null;
  if (/cron|timezone|start_time|interval/.test(key)) return key.split(".").pop();
  return /scope|target|query|nodes|application|node_group/.test(key) ? "scope" : key;
}

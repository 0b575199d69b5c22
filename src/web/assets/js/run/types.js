// Puppet's data types as far as a form needs them: which control fits, and what can be said before the service checks. No DOM.

/**
 * A type in parts.
 * @typedef {{name: string, args: (Type|string|number)[]}} Type
 */

/**
 * Reads a type; what cannot be read is `Any`: the service knows better.
 * @param {string} text `Optional[Enum['a', 'b']]`
 * @returns {Type}
 */
export function parseType(text) {
  const tokens = String(text ?? "").match(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\/(?:[^/\\]|\\.)*\/|-?\d+(?:\.\d+)?|[A-Za-z_][\w:]*|=>|[[\]{},]/g) ?? [];
  let at = 0;
  const any = { name: "Any", args: [] };

  function one() {
    const token = tokens[at];
    at += 1;
    if (token === undefined) return any;
    if (/^['"]/.test(token)) return token.slice(1, -1).replace(/\\(.)/g, "$1");
    if (/^-?\d/.test(token)) return Number(token);
    if (token === "default") return "default";
    if (token === "{") return hash();
    if (!/^[A-Za-z]/.test(token)) return token;
    return { name: token, args: tokens[at] === "[" ? list() : [] };
  }

  function list() {
    const args = [];
    at += 1;
    while (at < tokens.length && tokens[at] !== "]") {
      args.push(one());
      if (tokens[at] === ",") at += 1;
    }
    at += 1;
    return args;
  }

  /** What a Struct has between its braces does not matter to a form. */
  function hash() {
    let depth = 1;
    while (at < tokens.length && depth > 0) {
      if (tokens[at] === "{") depth += 1;
      if (tokens[at] === "}") depth -= 1;
      at += 1;
    }
    return "{}";
  }

  const type = one();
  return typeof type === "object" ? type : any;
}

const NUMBERS = new Set(["Integer", "Float", "Numeric"]);
const TEXTS = new Set(["String", "Pattern", "Regexp"]);
const TREES = new Set(["Array", "Hash", "Struct", "Tuple", "Collection"]);

/**
 * What a parameter's control is.
 * @typedef {object} Control
 * @property {"text"|"secret"|"number"|"boolean"|"enum"|"json"|"any"} kind `json` takes JSON only, `any` JSON or else a text
 * @property {boolean} optional
 * @property {boolean} sensitive
 * @property {string[]} [options] of an enum
 * @property {number} [min] of a number, or the length of a text
 * @property {number} [max]
 * @property {boolean} [whole] of a number
 */

/**
 * The parameters that a task's metadata describes. Whoever wrote it may have written anything.
 * @param {any} metadata
 * @returns {{parameters: [string, Record<string, any>][], odd: string[]}} `odd`: those whose description is no object
 */
export function parametersOf(metadata) {
  const all = Object.entries(isObject(metadata?.parameters) ? metadata.parameters : {});
  return {
    parameters: all.map(([name, parameter]) => [name, isObject(parameter) ? parameter : {}]),
    odd: all.filter(([, parameter]) => !isObject(parameter)).map(([name]) => name),
  };
}

/**
 * A parameter without what must not be seen: the default of a secret is one too.
 * @param {Record<string, any>} parameter
 * @param {Control} control
 * @returns {Record<string, any>}
 */
export function openly(parameter, control) {
  if (!control.sensitive) return parameter;
  const { default: _, ...rest } = parameter;
  return rest;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The control for a parameter of a task.
 * @param {{type?: string, sensitive?: boolean, default?: any}} parameter as the task's metadata has it
 * @returns {Control}
 */
export function controlFor(parameter) {
  /** @type {any} */
  let type = parseType(parameter.type ?? "Any");
  let optional = "default" in parameter;
  let sensitive = parameter.sensitive === true;
  while (type?.args?.length > 0 && (type.name === "Optional" || type.name === "Sensitive")) {
    if (type.name === "Optional") optional = true;
    else sensitive = true;
    const [inner] = type.args;
    type = typeof inner === "object" ? inner : { name: "Enum", args: [inner] };
  }
  const alternatives = type.name === "Variant" ? type.args.filter((arg) => arg.name !== "Undef") : [];
  if (alternatives.length < type.args.length && type.name === "Variant") optional = true;
  if (alternatives.length === 1) type = alternatives[0];
  return { ...shape(type), optional, sensitive };
}

/**
 * @param {any} type
 * @returns {any} the part of a control that follows from the type alone
 */
function shape(type) {
  const { name, args } = type;
  if (name === "Boolean" && args.length === 0) return { kind: "boolean" };
  if (name === "Enum") return { kind: "enum", options: args.filter((arg) => typeof arg === "string") };
  if (NUMBERS.has(name)) return { kind: "number", whole: name === "Integer", ...bounds(args) };
  if (TEXTS.has(name)) return { kind: "text", ...(name === "String" ? bounds(args) : {}) };
  if (TREES.has(name)) return { kind: "json" };
  if (name === "Variant" && args.length > 0) {
    const shapes = args.map((arg) => (typeof arg === "object" ? shape(arg) : { kind: "any" }));
    if (shapes.every(({ kind }) => kind === "enum")) return { kind: "enum", options: shapes.flatMap(({ options }) => options) };
    if (shapes.every(({ kind }) => kind === "text" || kind === "enum")) return { kind: "text" };
    if (shapes.every(({ kind }) => kind === "json")) return { kind: "json" };
    return { kind: "any" };
  }
  // Paths, URLs and the like of stdlib are texts; what else there is the service knows.
  if (/^(Stdlib|Sensitive|Pattern)::/.test(name) && !/(Port|Hash|Array|Boolean)/i.test(name)) return { kind: "text" };
  if (/^Stdlib::Port/.test(name)) return { kind: "number", whole: true, min: 0, max: 65_535 };
  return { kind: "any" };
}

function bounds([min, max]) {
  return { ...(typeof min === "number" ? { min } : {}), ...(typeof max === "number" ? { max } : {}) };
}

/** What stands in a control and cannot be sent. */
export class BadValue extends Error {}

/** What people write as a number; JavaScript would also take "0x10", and nothing for 0. */
const WHOLE = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

function numberOf(text, whole) {
  if (!DECIMAL.test(text)) throw new BadValue("This is not a number");
  if (whole && !WHOLE.test(text)) throw new BadValue("This must be a whole number, in digits only");
  const value = Number(text);
  if (!Number.isFinite(value)) throw new BadValue("This number is too large");
  // Beyond it another number than the one that was written would be sent.
  if (WHOLE.test(text) && !Number.isSafeInteger(value)) throw new BadValue(`This number is too large: a browser is exact up to ${Number.MAX_SAFE_INTEGER} only`);
  return value;
}

/**
 * The value that a control's text stands for.
 * @param {Control} control
 * @param {string} text
 * @returns {any} undefined when it is left out
 */
export function valueOf(control, text) {
  if (text === "") return undefined;
  switch (control.kind) {
    case "boolean":
      return text === "true";
    case "number": {
      const value = numberOf(text.trim(), control.whole);
      if (control.min !== undefined && value < control.min) throw new BadValue(`This must be ${control.min} or more`);
      if (control.max !== undefined && value > control.max) throw new BadValue(`This must be ${control.max} or less`);
      return value;
    }
    case "json":
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new BadValue(`This is not JSON: ${error.message}`);
      }
    case "any":
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    default:
      return text;
  }
}

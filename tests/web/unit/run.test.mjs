// What the page for running makes of types, of what is chosen, and of refusals.

import assert from "node:assert/strict";
import { test } from "node:test";

import { keepNodes, keptNodes, namesIn } from "../../../src/web/assets/js/node-set.js";
import { callOf, commandBody, curlOf, fieldOf, taskPath } from "../../../src/web/assets/js/run/request.js";
import { BadValue, controlFor, openly, parametersOf, parseType, valueOf } from "../../../src/web/assets/js/run/types.js";

const control = (type, more = {}) => controlFor({ type, ...more });

test("types are read in parts", () => {
  assert.deepEqual(parseType("Optional[Enum['a', \"b\"]]"), { name: "Optional", args: [{ name: "Enum", args: ["a", "b"] }] });
  assert.deepEqual(parseType("Integer[-1, default]"), { name: "Integer", args: [-1, "default"] });
  assert.deepEqual(parseType("Pattern[/\\A[a-z,\\]]+\\z/]").name, "Pattern");
  assert.deepEqual(parseType("Struct[{a => Array[String], Optional[b] => {c => 1}}]").name, "Struct");
  assert.deepEqual(parseType("]["), { name: "Any", args: [] });
  assert.deepEqual(parseType(""), { name: "Any", args: [] });
});

test("each type has a control", () => {
  assert.deepEqual(control("Boolean"), { kind: "boolean", optional: false, sensitive: false });
  assert.deepEqual(control("Optional[Boolean]"), { kind: "boolean", optional: true, sensitive: false });
  assert.deepEqual(control("Enum['start', 'stop']"), { kind: "enum", options: ["start", "stop"], optional: false, sensitive: false });
  assert.deepEqual(control("Integer[1, 10]"), { kind: "number", whole: true, min: 1, max: 10, optional: false, sensitive: false });
  assert.deepEqual(control("Integer[1, default]"), { kind: "number", whole: true, min: 1, optional: false, sensitive: false });
  assert.equal(control("Float").whole, false);
  assert.equal(control("Sensitive[String]").sensitive, true);
  assert.equal(control("String", { sensitive: true }).sensitive, true);
  assert.equal(control("String", { default: "a" }).optional, true, "what has a default may be left out");
  assert.equal(control("Hash[String, Integer]").kind, "json");
  assert.equal(control("Variant[Enum['a'], Enum['b']]").kind, "enum");
  assert.equal(control("Variant[Integer, Array[String]]").kind, "any");
  assert.equal(control("Variant[Undef, String]").optional, true);
  assert.equal(control("Stdlib::Absolutepath").kind, "text");
  assert.equal(control("Stdlib::Port").max, 65_535);
  assert.equal(control(undefined).kind, "any");
});

test("texts become values, and what cannot be sent is told", () => {
  assert.equal(valueOf(control("String"), ""), undefined);
  assert.equal(valueOf(control("String"), "12"), "12", "a text stays one");
  assert.equal(valueOf(control("Integer"), "12"), 12);
  assert.equal(valueOf(control("Boolean"), "false"), false);
  assert.deepEqual(valueOf(control("Array[String]"), '["a"]'), ["a"]);
  assert.equal(valueOf(control("Data"), "plain words"), "plain words");
  assert.deepEqual(valueOf(control("Data"), '{"a": 1}'), { a: 1 });
  for (const [type, text] of [["Integer", "1.5"], ["Integer", "x"], ["Integer[1, 10]", "11"], ["Integer[1, 10]", "0"], ["Hash", "{"]]) {
    assert.throws(() => valueOf(control(type), text), BadValue, `${type} ${text}`);
  }
});

test("numbers are what people write as such", () => {
  assert.deepEqual([" 12 ", "+7", "-3", "007"].map((text) => valueOf(control("Integer"), text)), [12, 7, -3, 7]);
  assert.deepEqual(["1.5", "-.5", "2.", "1e3", " 4 "].map((text) => valueOf(control("Float"), text)), [1.5, -0.5, 2, 1000, 4]);
  for (const text of [" ", "0x10", "1e3", "1.0", "1_000", "Infinity", "9007199254740993", "-9007199254740993"]) {
    assert.throws(() => valueOf(control("Integer"), text), BadValue, `Integer ${text}`);
  }
  for (const text of [" ", ".", "0b1", "NaN", "1e999", "1,5", "9007199254740993"]) {
    assert.throws(() => valueOf(control("Numeric"), text), BadValue, `Numeric ${text}`);
  }
  assert.throws(() => valueOf(control("Integer"), "9007199254740993"), /exact up to 9007199254740991/);
});

test("metadata may hold anything", () => {
  assert.deepEqual(parametersOf({ parameters: { a: null, b: "String", c: ["x"], d: { type: "String" } } }), {
    parameters: [["a", {}], ["b", {}], ["c", {}], ["d", { type: "String" }]],
    odd: ["a", "b", "c"],
  });
  for (const metadata of [null, {}, { parameters: null }, { parameters: [1] }, { parameters: "x" }]) assert.deepEqual(parametersOf(metadata), { parameters: [], odd: [] });
  assert.equal(controlFor({ type: 5 }).kind, "any");
});

test("the default of a secret is not seen", () => {
  const secret = { type: "Sensitive[String]", default: "hunter2", description: "PIN" };
  assert.deepEqual(openly(secret, controlFor(secret)), { type: "Sensitive[String]", description: "PIN" });
  assert.equal(controlFor(secret).optional, true, "it may be left out all the same");
  const plain = { type: "String", default: "a" };
  assert.equal(openly(plain, controlFor(plain)), plain);
});

const WISH = { type: "task", environment: "production", scope: { nodes: ["a"] }, task: "demo::greet", params: { greeting: "it's", pin: 7 }, sensitive: ["pin"], options: { concurrency: 2, description: "why" }, schedule: null };

test("a wish becomes the call of the command", () => {
  assert.deepEqual(callOf(WISH), { path: "/orchestrator/v1/command/task", body: { environment: "production", task: "demo::greet", params: { greeting: "it's", pin: 7 }, scope: { nodes: ["a"] }, concurrency: 2, description: "why" } });
  const deploy = { ...WISH, type: "deploy", options: { noop: true } };
  assert.deepEqual(commandBody(deploy), { environment: "production", scope: { nodes: ["a"] }, noop: true });
});

test("a scheduled wish keeps the parameters under their names", () => {
  const schedule = { start_time: "2026-03-01T12:00:00Z", interval: null };
  assert.deepEqual(callOf({ ...WISH, schedule }), {
    path: "/orchestrator/v1/scheduled_jobs/environment_jobs",
    body: { type: "task", environment: "production", input: { scope: { nodes: ["a"] }, concurrency: 2, name: "demo::greet", parameters: { greeting: { value: "it's" }, pin: { value: 7 } } }, schedule, description: "why" },
  });
});

test("the call for a shell is quoted and has no secrets", () => {
  const shell = curlOf("https://orch.example.com:8143", WISH);
  assert.match(shell, /it'\\''s/);
  assert.match(shell, /"pin": "SECRET"/);
  assert.doesNotMatch(shell, /7\b.*pin|"pin": 7/);
  assert.match(shell, /'https:\/\/orch\.example\.com:8143\/orchestrator\/v1\/command\/task'/);
});

test("a module's own task is its init", () => {
  assert.equal(taskPath("package", "production"), "/orchestrator/v1/tasks/package/init?environment=production");
  assert.equal(taskPath("demo::greet", "test"), "/orchestrator/v1/tasks/demo/greet?environment=test");
});

test("a refusal finds its field", () => {
  const of = (kind, msg, key) => fieldOf({ kind: `puppetlabs.orchestrator/${kind}`, msg, details: key ? { key } : {} });
  assert.equal(of("validation-error", "parameter greeting must match String, not 1", "params"), "params.greeting");
  assert.equal(of("validation-error", "task demo::greet needs the parameter greeting", "params"), "params.greeting");
  assert.equal(of("validation-error", "scope must be an object", "scope"), "scope");
  assert.equal(of("validation-error", "'x' is no cron expression", "schedule.cron"), "cron");
  assert.equal(of("validation-error", "'x' is no time zone; write one such as UTC", "schedule.cron"), "timezone");
  assert.equal(of("validation-error", "tags must be a string", "tags"), "tags");
  assert.equal(of("invalid-time", "it lies in the past"), "start_time");
  assert.equal(of("query-error", "no such field"), "scope");
  assert.equal(of("unknown-task", "Unknown task"), "task");
  assert.equal(of("not-permitted", "no"), null);
});

test("few nodes go by the address, and names are taken as people write them", () => {
  assert.deepEqual(namesIn(" a,b\n b;c\t"), ["a", "b", "c"]);
  assert.deepEqual(keptNodes(new URLSearchParams(keepNodes(["a", "b"]))), ["a", "b"]);
  const kept = new Map();
  globalThis.sessionStorage = { setItem: (key, value) => kept.set(key, value), getItem: (key) => kept.get(key) ?? null };
  const many = Array.from({ length: 101 }, (_, at) => `n${at}`);
  const query = keepNodes(many);
  assert.ok(query.length < 40, query);
  assert.deepEqual(keptNodes(new URLSearchParams(query)), many);
  delete globalThis.sessionStorage;
});

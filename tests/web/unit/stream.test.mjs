// Streams that come back: how they resume, when they give up, and that a hidden page has none. Time is moved by hand.

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

const page = { hidden: false, listeners: {} };
const listen = (name, fn) => (page.listeners[name] = fn);
globalThis.document = { get hidden() { return page.hidden; }, addEventListener: listen, querySelectorAll: () => [] };
globalThis.window = { addEventListener: listen };
globalThis.location = { pathname: "/", search: "" };
const visited = [];
globalThis.history = { replaceState: (_state, _title, url) => visited.push(url), pushState() {} };

let sources = [];
let status = 200;
globalThis.EventSource = class {
  static OPEN = 1;
  static CLOSED = 2;

  constructor(url) {
    Object.assign(this, { url, readyState: 0, handlers: {}, closed: false });
    sources.push(this);
  }

  addEventListener(name, fn) {
    this.handlers[name] = fn;
  }

  close() {
    this.closed = true;
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(name, data, id = "") {
    this.handlers[name]({ data: JSON.stringify(data), lastEventId: id });
  }

  break(refused = false) {
    this.readyState = refused ? 2 : 0;
    this.onerror();
  }
};
globalThis.fetch = async () => ({ status });

mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
const { connection, crowded, stream } = await import("../../../src/web/assets/js/stream.js");

/** Lets what was promised happen. */
const settled = async () => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};
const latest = () => sources.at(-1);

function follow(path = "/bunraku/v1/jobs/7/events?start=5") {
  const seen = [];
  const states = [];
  const one = stream(path, { handlers: { node: (data, id) => seen.push([data.n, id]) }, onState: (state) => states.push(state) });
  return { one, seen, states };
}

beforeEach(() => {
  sources = [];
  status = 200;
  page.hidden = false;
});

test("events come with their numbers, and after a break the stream goes on behind the last", async () => {
  const { one, seen, states } = follow();
  assert.equal(latest().url, "/ui/bunraku/v1/jobs/7/events?start=5");
  latest().open();
  latest().send("node", { n: 1 }, "5");
  latest().send("node", { n: 2 }, "9");
  latest().break();
  await settled();
  assert.equal(sources[0].closed, true);
  mock.timers.tick(1000);
  assert.equal(latest().url, "/ui/bunraku/v1/jobs/7/events?start=10");
  latest().open();
  assert.deepEqual(seen, [[1, "5"], [2, "9"]]);
  assert.deepEqual(states, ["live", "live"], "so short a gap is not told");
  one.close();
});

test("a gap that lasts is told once, and so is its end", async () => {
  const told = [];
  const forget = connection.subscribe((state) => told.push(state));
  const { one, states } = follow();
  latest().open();
  for (let turn = 0; turn < 6; turn += 1) {
    latest().break();
    await settled();
    mock.timers.tick(20_000);
  }
  assert.equal(connection.get(), "lost");
  latest().open();
  assert.equal(connection.get(), "live");
  assert.deepEqual(told, ["lost", "live"]);
  assert.deepEqual(states, ["live", "lost", "live"]);
  forget();
  one.close();
});

test("a stream that has nothing left is over, and is not asked again", async () => {
  const { states } = follow();
  status = 204;
  latest().break(true);
  await settled();
  mock.timers.tick(60_000);
  assert.equal(sources.length, 1);
  assert.deepEqual(states, ["over"]);
  assert.equal(connection.get(), "live");
});

test("a session that is over ends in the login", async () => {
  follow();
  status = 401;
  globalThis.location.pathname = "/nodes";
  latest().break(true);
  await settled();
  assert.deepEqual(visited, ["/login?next=%2Fnodes"]);
});

test("a hidden page closes its stream and comes back behind the last event", async () => {
  const { one } = follow();
  latest().open();
  latest().send("node", { n: 1 }, "20");
  page.hidden = true;
  page.listeners.visibilitychange();
  mock.timers.tick(4000);
  assert.equal(latest().closed, false, "a look at another tab costs nothing");
  mock.timers.tick(2000);
  assert.equal(latest().closed, true);
  mock.timers.tick(600_000);
  assert.equal(sources.length, 1, "nothing is asked while nobody looks");
  page.hidden = false;
  page.listeners.visibilitychange();
  assert.equal(latest().url, "/ui/bunraku/v1/jobs/7/events?start=21");
  one.close();
});

test("a closed stream stays closed", async () => {
  const { one } = follow();
  latest().break();
  await settled();
  one.close();
  mock.timers.tick(60_000);
  assert.equal(sources.length, 1);
});

test("a service that beats and falls silent is lost, and is tried again", async () => {
  const { one, states } = follow();
  latest().open();
  latest().send("beat", {});
  mock.timers.tick(39_000);
  latest().send("beat", {});
  mock.timers.tick(39_000);
  latest().send("node", { n: 1 }, "30");
  mock.timers.tick(39_000);
  assert.equal(sources.length, 1, "every event is a sign of life");
  assert.equal(connection.get(), "live");
  mock.timers.tick(1000);
  assert.equal(sources[0].closed, true);
  assert.equal(connection.get(), "lost");
  await settled();
  mock.timers.tick(1000);
  assert.equal(latest().url, "/ui/bunraku/v1/jobs/7/events?start=31");
  mock.timers.tick(40_000);
  await settled();
  mock.timers.tick(2000);
  assert.equal(sources.length, 3, "one that does not even answer is tried anew");
  latest().open();
  assert.equal(connection.get(), "live");
  assert.deepEqual(states, ["live", "lost", "live"]);
  one.close();
});

test("an older service, which never beats, may be silent", async () => {
  const { one, states } = follow();
  latest().open();
  latest().send("node", { n: 1 }, "5");
  mock.timers.tick(3_600_000);
  assert.equal(sources.length, 1);
  assert.deepEqual(states, ["live"]);
  one.close();
});

test("where connections are scarce the fifth window has no stream, and says so", async (t) => {
  const held = new Set();
  const request = async (name, _options, hold) => {
    if (held.has(name)) return hold(null);
    held.add(name);
    await hold({ name });
    held.delete(name);
  };
  Object.defineProperty(globalThis, "navigator", { value: { locks: { request } }, configurable: true });
  t.mock.method(performance, "getEntriesByType", () => [{ nextHopProtocol: "http/1.1" }]);
  const windows = [];
  for (let at = 0; at < 5; at += 1) {
    windows.push(follow().one);
    for (let turn = 0; turn < 5; turn += 1) await settled();
  }
  assert.equal(sources.length, 4);
  assert.equal(crowded.get(), true);
  assert.equal(connection.get(), "live", "that is no lost connection");
  windows.pop().close();
  assert.equal(crowded.get(), false);
  windows.pop().close();
  await settled();
  windows.push(follow().one);
  for (let turn = 0; turn < 5; turn += 1) await settled();
  assert.equal(sources.length, 5, "a place that is given back is taken");
  for (const one of windows) one.close();
});

// When the list of nodes is old.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

mock.timers.enable({ apis: ["setInterval"] });
const listen = () => {};
globalThis.document = { addEventListener: listen, querySelectorAll: () => [] };
globalThis.window = { addEventListener: listen };
globalThis.location = { pathname: "/nodes", search: "" };
const { changes } = await import("../../../src/web/assets/js/pages/nodes.js");

test("a job that goes on makes the last runs old, one that is told twice does not", () => {
  const news = changes();
  assert.equal(news.job({ name: "1", state: "running", node_states: { ready: 2 } }), true);
  assert.equal(news.job({ name: "1", state: "running", node_states: { ready: 2 } }), false);
  assert.equal(news.job({ name: "1", state: "running", node_states: { ready: 1, finished: 1 } }), true);
  assert.equal(news.job({ name: "1", state: "stopping", node_states: { ready: 1, finished: 1 } }), true);
  assert.equal(news.job({ name: "2", state: "new" }), true);
});

test("one that comes while another goes is noticed", () => {
  const news = changes();
  assert.equal(news.inventory({ connected: 5, changed: 10 }), false, "the first word is no change");
  assert.equal(news.inventory({ connected: 5, changed: 10 }), false);
  assert.equal(news.inventory({ connected: 5, changed: 12 }), true);
  assert.equal(news.inventory({ connected: 6, changed: 13 }), true);
});

test("an older service tells only how many are connected", () => {
  const news = changes();
  assert.deepEqual([5, 5, 6].map((connected) => news.inventory({ connected })), [false, false, true]);
});

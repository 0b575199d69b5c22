// What is computed for the views of a job: filters, the places of cells, runs over time, sentences.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bindingText, groupSentence } from "../../../src/web/assets/js/job/causes.js";
import { filterOf, isOpen, matching, ordered, queryOf } from "../../../src/web/assets/js/job/filter.js";
import { cellAt, layoutOf, moved } from "../../../src/web/assets/js/job/layout.js";
import { JobModel } from "../../../src/web/assets/js/job/model.js";
import { areaOf, rowsOf, summaryOf } from "../../../src/web/assets/js/job/spans.js";
import { NOW, event, gridOf } from "./grid.mjs";

function some() {
  const model = new JobModel(gridOf(6));
  model.takeNode(100, event("node_running", "node00000", NOW));
  model.takeNode(101, event("node_running", "node00001", NOW + 10));
  model.takeNode(102, event("node_finished", "node00000", NOW + 100));
  model.takeNode(103, event("node_failed", "node00001", NOW + 50, { cause: "run_failed", group: "<node>: Disk full" }));
  model.takeNode(104, event("node_errored", "node00002", NOW + 50, { cause: "not_connected", group: "<node> is away" }));
  return model;
}

const shown = (model, query) => [...matching(model, filterOf(query))];

test("nodes are found by state, cause and text", () => {
  const model = some();
  assert.deepEqual(shown(model, {}), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(shown(model, { state: "waiting" }), [3, 4, 5]);
  assert.deepEqual(shown(model, { state: "failed,errored" }), [1, 2]);
  assert.deepEqual(shown(model, { cause: "not_connected" }), [2]);
  assert.deepEqual(shown(model, { cause: "never_heard_of" }), []);
  assert.deepEqual(shown(model, { q: "disk" }), [1], "by the words of its group");
  assert.deepEqual(shown(model, { q: "NODE00004" }), [4]);
  assert.deepEqual(shown(model, { state: "failed", q: "away" }), []);
});

test("a filter survives the address", () => {
  const query = { state: "failed,waiting", cause: "run_failed", q: "web" };
  assert.deepEqual(queryOf(filterOf(query)), query);
  assert.deepEqual(queryOf(filterOf({ state: "nonsense" })), { state: null, cause: null, q: null });
  assert.ok(isOpen(filterOf({})));
  assert.ok(!isOpen(filterOf({ q: "x" })));
});

test("an order is stable", () => {
  const model = some();
  const all = matching(model, filterOf({}));
  assert.deepEqual([...ordered(model, all, "duration", true, NOW)], [0, 1, 2, 3, 4, 5]);
  assert.deepEqual([...ordered(model, all, "state", true, NOW)], [2, 1, 0, 3, 4, 5]);
  assert.deepEqual([...ordered(model, all, "name", true, NOW)], [5, 4, 3, 2, 1, 0]);
});

test("every cell is found where it lies", () => {
  for (const count of [1, 5, 97, 1000, 10_000, 50_000]) {
    const layout = layoutOf(count, 700, 480);
    assert.ok(layout.columns * layout.rows >= count && layout.width <= 700);
    assert.ok(layout.columns * (layout.rows - 1) < count, "no empty row");
    for (const cell of [0, count >> 1, count - 1]) {
      const x = (cell % layout.columns) * layout.size + layout.size / 2;
      const y = Math.floor(cell / layout.columns) * layout.size + layout.size / 2;
      assert.equal(cellAt(layout, count, x, y), cell);
    }
    assert.equal(cellAt(layout, count, -1, 0), -1);
    assert.equal(cellAt(layout, count, layout.width + 1, 0), -1);
  }
});

test("keys lead to cells that there are", () => {
  const layout = { columns: 10 };
  const go = (cell, key) => moved(layout, 25, cell, key, 1);
  assert.deepEqual([go(0, "ArrowLeft"), go(0, "ArrowRight"), go(24, "ArrowRight")], [0, 1, 24]);
  assert.deepEqual([go(3, "ArrowDown"), go(3, "ArrowUp"), go(13, "ArrowUp")], [13, 3, 3]);
  assert.equal(go(18, "ArrowDown"), 24, "the last row is short");
  assert.equal(go(22, "ArrowDown"), 22);
  assert.deepEqual([go(7, "Home"), go(7, "End"), go(7, "a")], [0, 24, null]);
  assert.deepEqual([go(23, "PageUp"), go(3, "PageUp"), go(20, "PageDown")], [13, 3, 24]);
});

test("how many ran at once", () => {
  const at = (...seconds) => seconds.map((second) => (second === 0 ? 0 : NOW + second * 1000));
  const grid = gridOf(5, { nodes: { state: [3, 3, 3, 2, 1], started: at(1, 2, 3, 9, 0), finished: at(3, 4, 9, 0, 0) } });
  const model = new JobModel(grid);
  const now = NOW + 20_000;
  // Node 2 takes over from node 0 in the same moment: two at once, never three.
  assert.equal(areaOf(model, now, 1).peak, 2);
  const area = areaOf(model, now, 19);
  assert.equal(area.peak, 2);
  assert.equal(area.starts.reduce((sum, count) => sum + count, 0), 4);
  assert.equal(area.ends.reduce((sum, count) => sum + count, 0), 3);
  assert.deepEqual(rowsOf(model, now).map((row) => row.at), [0, 1, 2, 3]);
  const summary = summaryOf(model, now);
  assert.deepEqual([summary.started, summary.over, summary.peak, summary.median], [4, 3, 2, 2000]);
  assert.deepEqual(summary.longest[0], { at: 3, time: 11_000 });
});

test("nothing has run: the timeline is empty", () => {
  const summary = summaryOf(new JobModel(gridOf(3)), NOW);
  assert.deepEqual([summary.started, summary.peak, summary.median], [0, 0, null]);
});

test("one sentence for many failures", () => {
  const group = { text: "<node>: disk full", cause: "run_failed", count: 37, state: 4 };
  assert.equal(groupSentence(group), "37 nodes failed: <node>: disk full");
  assert.equal(groupSentence({ ...group, count: 1, cause: "not_connected", text: "" }), "1 node was not connected.");
  const message = "Finished puppet run on <node> - Failed! File[/etc/motd]: no space";
  assert.equal(groupSentence({ ...group, text: message }), "37 nodes failed: File[/etc/motd]: no space");
  assert.equal(groupSentence({ ...group, text: "Finished task on <node> - Failed! " }), "37 nodes failed.");
  assert.equal(groupSentence({ ...group, cause: null, text: "x" }), "37 nodes did not finish: x");
  assert.equal(bindingText(null), "");
  assert.match(bindingText("draining"), /draining/);
});

// The model of a job: whatever comes, in whatever order, its counters are those of its columns.

import assert from "node:assert/strict";
import { test } from "node:test";

import { FAILED, JobModel, RUNNING, STATES, retryable } from "../../../src/web/assets/js/job/model.js";
import { nodesPerSecond, secondsLeft } from "../../../src/web/assets/js/job/rate.js";
import { NOW, event, gridOf } from "./grid.mjs";

/** Counts everything anew from the columns and compares. */
function holds(model) {
  const counts = new Array(STATES.length).fill(0);
  const levels = new Array(model.levels * STATES.length).fill(0);
  const causes = model.causes.map(() => 0);
  const groups = model.groups.map(() => 0);
  for (let at = 0; at < model.size; at += 1) {
    counts[model.state[at]] += 1;
    levels[model.level[at] * STATES.length + model.state[at]] += 1;
    if (model.cause[at] >= 0) causes[model.cause[at]] += 1;
    if (model.group[at] >= 0) groups[model.group[at]] += 1;
  }
  assert.deepEqual([...model.counts], counts);
  assert.deepEqual([...model.levelCounts], levels);
  assert.deepEqual(model.causeCounts, causes);
  assert.deepEqual(model.groups.map(({ count }) => count), groups);
}

test("a grid is taken as it is", () => {
  const grid = gridOf(4, {
    groups: ["<node> is not connected"],
    levels: 2,
    nodes: { state: [3, 2, 5, 0], cause: [-1, -1, 1, -1], group: [-1, -1, 0, -1], level: [0, 0, 0, 1], started: [NOW, NOW + 5, 0, 0], finished: [NOW + 9, 0, NOW + 7, 0] },
  });
  const model = new JobModel(grid);
  holds(model);
  assert.equal(model.done, 2);
  assert.equal(model.percent, 50);
  assert.deepEqual(model.countsByCause(), [{ cause: "not_connected", count: 1 }]);
  assert.equal(model.message(2), "node00002 is not connected");
  assert.deepEqual([model.firstStart, model.lastAt], [NOW, NOW + 9]);
  assert.equal(model.runTime(1, NOW + 25), 20);
});

test("states are told by name, not by place", () => {
  const model = new JobModel(gridOf(2, { states: ["finished", "ready"], nodes: { state: [0, 1] } }));
  assert.equal(model.countsByState().finished, 1);
  assert.equal(model.countsByState().ready, 1);
});

test("an event that comes twice counts once, and none of before the grid counts", () => {
  const model = new JobModel(gridOf(2));
  assert.equal(model.takeNode("99", event("node_running", "node00000", NOW)), false);
  assert.equal(model.takeNode("100", event("node_running", "node00000", NOW)), true);
  assert.equal(model.takeNode("100", event("node_running", "node00000", NOW)), false);
  assert.equal(model.takeNode("101", event("node_failed", "node00000", NOW + 1, { cause: "run_failed", group: "x" })), true);
  for (let again = 0; again < 3; again += 1) {
    assert.equal(model.takeNode("101", event("node_failed", "node00000", NOW + 1, { cause: "run_failed", group: "x" })), false);
  }
  assert.deepEqual([model.counts[FAILED], model.groups[0].count, model.causeCounts[0]], [1, 1, 1]);
  holds(model);
});

test("an end is final", () => {
  const model = new JobModel(gridOf(1));
  model.takeNode(100, event("node_finished", "node00000", NOW));
  assert.equal(model.takeNode(101, event("node_errored", "node00000", NOW, { cause: "timed_out" })), false);
  assert.equal(model.takeNode(102, event("node_running", "node00000", NOW)), false);
  assert.equal(model.countsByState().finished, 1);
  holds(model);
});

test("a node that the grid does not have is noted and changes nothing", () => {
  const model = new JobModel(gridOf(1));
  assert.equal(model.takeNode(100, event("node_running", "stranger", NOW)), false);
  assert.equal(model.takeNode(101, event("node_sneezed", "node00000", NOW)), false);
  assert.equal(model.strangers, 1);
  holds(model);
});

test("failures are grouped by cause and words, the most frequent first", () => {
  const model = new JobModel(gridOf(40));
  let id = 100;
  for (let at = 0; at < 37; at += 1) {
    model.takeNode(id++, event("node_failed", model.names[at], NOW + at, { cause: "run_failed", message: `${model.names[at]}: no space`, group: "<node>: no space" }));
  }
  // Without a group of the service the message makes one; another cause with the same words is another group.
  model.takeNode(id++, event("node_errored", model.names[38], NOW, { cause: "locked", message: `${model.names[38]}: no space` }));
  model.takeNode(id++, event("node_skipped", model.names[39], NOW, { cause: "job_stopped" }));
  assert.deepEqual(model.failures().map(({ count, cause, text }) => [count, cause, text]), [
    [37, "run_failed", "<node>: no space"],
    [1, "locked", "<node>: no space"],
    [1, "job_stopped", ""],
  ]);
  assert.equal(model.namesOf(0).length, 37);
  assert.deepEqual(model.namesOf(0, 2), ["node00000", "node00001"]);
  assert.equal(model.message(38), "node00038: no space");
  holds(model);
});

test("ten thousand nodes, every event twice and some out of place", () => {
  const size = 10_000;
  const model = new JobModel(gridOf(size, { levels: 3, nodes: { level: Array.from({ length: size }, (_, at) => at % 3) } }));
  let id = 100;
  const send = (one) => {
    model.takeNode(id, one);
    model.takeNode(id, one);
    id += 1;
  };
  let seed = 42;
  const random = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const kinds = ["node_running", "node_finished", "node_failed", "node_errored", "node_skipped"];
  for (let count = 0; count < 60_000; count += 1) {
    const name = model.names[random(size)];
    send(event(kinds[random(5)], name, NOW + count, { cause: ["run_failed", "locked", null][random(3)], group: `words ${random(9)}` }));
  }
  holds(model);
  assert.equal(model.counts.reduce((sum, count) => sum + count, 0), size);
  const changed = model.takeDirty();
  assert.equal(new Set(changed).size, changed.length, "each once");
  assert.equal(model.takeDirty().length, 0);
});

test("a stop is not taken back by a view from before it", () => {
  const model = new JobModel(gridOf(1));
  model.takeJob(100, { type: "job_stopping", at: NOW });
  model.takeLive({ state: "running", counts: { new: 0 } });
  assert.equal(model.jobState, "stopping");
  model.takeLive({ state: "stopped", counts: { new: 0 } });
  assert.deepEqual([model.jobState, model.ended], ["stopped", true]);
});

test("new and ready are split by the live view, as far as it fits", () => {
  const model = new JobModel(gridOf(10));
  model.takeLive({ state: "running", counts: { new: 6, ready: 4 } });
  assert.deepEqual([model.countsByState().new, model.countsByState().ready], [6, 4]);
  for (let at = 0; at < 5; at += 1) model.takeNode(100 + at, event("node_running", model.names[at], NOW));
  assert.equal(model.counts[RUNNING], 5);
  const { new: blocked, ready } = model.countsByState();
  assert.equal(blocked + ready, 5, "never more than there are");
});

test("what retry would take", () => {
  const model = new JobModel(gridOf(6));
  const end = (at, type, cause) => model.takeNode(100 + at, event(type, model.names[at], NOW, { cause }));
  end(0, "node_finished", null);
  end(1, "node_failed", "run_failed");
  end(2, "node_errored", "not_connected");
  end(3, "node_errored", "abandoned");
  end(4, "node_errored", "stopped_by_force");
  end(5, "node_skipped", "job_broken");
  assert.deepEqual(retryable(model), { all: 6, failed: 2, not_run: 1, unknown: 2, unfinished: 3 });
});

test("nothing is said of the time left before it is known", () => {
  const model = new JobModel(gridOf(100));
  assert.equal(secondsLeft(model, NOW), null);
  for (let at = 0; at < 20; at += 1) model.takeNode(100 + at, event("node_running", model.names[at], NOW));
  assert.equal(secondsLeft(model, NOW + 30_000), null, "no end yet");
  for (let at = 0; at < 20; at += 1) model.takeNode(200 + at, event("node_finished", model.names[at], NOW + 8000 + 100 * at));
  assert.equal(nodesPerSecond(model, NOW + 10_000), null, "the first runs do not stand for all");
  assert.equal(nodesPerSecond(model, NOW + 24_000), 1);
  assert.equal(secondsLeft(model, NOW + 24_000), 80);
  assert.equal(secondsLeft(model, NOW + 200_000), null, "nothing ended in the last minute");
  model.takeNode(300, event("node_skipped", model.names[20], NOW + 20_000, { cause: "job_stopped" }));
  assert.equal(nodesPerSecond(model, NOW + 24_000), 1, "what is skipped does not run");
  model.takeLive({ ...model.live, binding: "restored" });
  assert.equal(secondsLeft(model, NOW + 24_000), null, "it waits for somebody");
});

test("the service's clock is told by its freshest event", () => {
  const model = new JobModel(gridOf(3));
  assert.equal(model.clock(NOW), NOW, "no event: ours");
  model.takeNode(100, event("node_running", "node00000", NOW - 300_000), NOW);
  assert.equal(model.clock(NOW), NOW - 300_000);
  model.takeNode(101, event("node_running", "node00001", NOW - 200_000), NOW);
  assert.equal(model.clock(NOW + 1), NOW - 200_000 + 1);
  model.takeNode(102, event("node_running", "node00002", NOW - 500_000), NOW);
  assert.equal(model.clock(NOW + 1), NOW - 200_000 + 1, "an old event tells nothing");
});

test("a node's name is put into its message as it is", () => {
  const name = "a$&b$$c";
  const model = new JobModel(gridOf(1, { nodes: { name: [name] } }));
  model.takeNode(100, event("node_failed", name, NOW, { cause: "run_failed", message: `${name}: Disk full on ${name}` }));
  assert.equal(model.failures()[0].text, "<node>: Disk full on <node>");
  assert.equal(model.message(0), `${name}: Disk full on ${name}`);
});

test("fewer ends than there were are an older record", () => {
  const model = new JobModel(gridOf(3));
  model.takeNode(100, event("node_running", "node00000", NOW));
  model.takeNode(101, event("node_finished", "node00000", NOW + 1));
  model.takeLive({ state: "running", counts: { new: 0, ready: 2, running: 0, finished: 1, failed: 0 } });
  model.takeLive({ state: "running", counts: { new: 0, ready: 1, running: 0, finished: 2, failed: 0 } });
  model.takeLive({ state: "running", counts: { new: 0 } });
  assert.equal(model.setBack, false, "one that is ahead of its events is none");
  model.takeLive({ state: "running", counts: { new: 0, ready: 3, running: 0, finished: 0, failed: 0 } });
  assert.equal(model.setBack, true);
  model.load(gridOf(3));
  assert.equal(model.setBack, false);
});

// Pages ask again what could not be read, ever more seldom, and not at all where it is of no use.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isFinal, pauses } from "../../../src/web/assets/js/retry.js";

test("pauses double up to a minute, and begin anew after a success", () => {
  const pause = pauses();
  assert.deepEqual(Array.from({ length: 8 }, pause.next), [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  pause.reset();
  assert.equal(pause.next(), 2000);
});

test("a right or a job that is gone does not come back by asking", () => {
  for (const status of [401, 403, 404]) assert.ok(isFinal({ status }), String(status));
  for (const error of [{ status: 0 }, { status: 429 }, { status: 500 }, { status: 503 }, new TypeError("x")]) assert.ok(!isFinal(error));
});

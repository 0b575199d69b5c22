// `make bench`: a job on 10,000 simulated nodes, watched by a browser for a minute; one table, nothing is asserted but the
// counts.
//
// BUNRAKU_BIN: a release binary. BENCH_NODES (10,000), BENCH_SECONDS (60). Each node takes a file descriptor at both ends:
// see `ulimit -n`.

import assert from "node:assert/strict";

import { launch, logIn, open } from "./browser.mjs";
import { USERS, World, until } from "./world.mjs";

const NODES = Number(process.env.BENCH_NODES ?? 10_000);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 60);
/** So many at once, each about this long, make the job last a little longer than it is watched. */
const RUN_SECONDS = 6;
const AT_ONCE = Math.max(1, Math.ceil((NODES * RUN_SECONDS) / (SECONDS * 1.2)));

const world = await World.start({
  nodes: [],
  settings: {
    BUNRAKU_LIMITS__CONCURRENT_RUNS: String(NODES),
    BUNRAKU_LIMITS__CONCURRENT_COMPILES: String(NODES),
    BUNRAKU_BROKER__MAX_CONNECTIONS: String(NODES + 1000),
  },
});
const browser = await launch(["--enable-precise-memory-info"]);
try {
  await world.swarm(NODES, "--run-time", `${RUN_SECONDS / 2}s..${RUN_SECONDS * 1.5}s`, "--failing", "2");
  await measure();
} finally {
  await browser.close();
  await world.end();
}

async function measure() {
  const { page, context, troubles } = await open(browser, world);
  await logIn(page, USERS.admin);
  const { items } = await world.get("/orchestrator/v1/inventory");
  const job = await world.deploy(items.map(({ name }) => name), { environment: "", concurrency: AT_ONCE });
  await world.inState(job, "running", AT_ONCE);

  // A page of its own, without anything in its cache.
  await page.goto("about:blank");
  const devtools = await context.newCDPSession(page);
  await devtools.send("Network.enable");
  await devtools.send("Network.setCacheDisabled", { cacheDisabled: true });
  await devtools.send("Performance.enable");
  const weight = weigh(devtools);
  await page.addInitScript(watch);
  await page.goto(`/jobs/${job}`);
  const firstView = await page.waitForFunction(() => window.benchFirstView).then((found) => found.jsonValue());
  const before = await numbers(devtools);
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
  const after = await numbers(devtools);
  const tasks = await page.evaluate(() => window.benchTasks);
  const later = tasks.filter(({ start }) => start > firstView).map(({ took }) => took);
  const first = tasks.filter(({ start }) => start <= firstView).map(({ took }) => took);

  const told = await world.over(job);
  await page.locator(".job-head .badge", { hasText: told.state }).waitFor();
  const shown = await until("the page shows all that is over", async () => {
    const counts = await page.locator(".legend .chip").evaluateAll((chips) =>
      Object.fromEntries(chips.map((chip) => [chip.dataset.state, Number(chip.querySelector("b").textContent.replaceAll(",", ""))])),
    );
    return counts.running + counts.waiting === 0 ? counts : null;
  });
  for (const state of ["finished", "failed", "errored", "skipped"]) assert.equal(shown[state], told.node_states[state] ?? 0, state);
  assert.deepEqual(troubles, []);

  const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;
  const longest = (list) => `${Math.max(0, ...list).toFixed(0)} ms`;
  print([
    [`nodes, at once, watched`, `${NODES}, ${AT_ONCE}, ${SECONDS} s`],
    ["scripts and styles, as sent", kib(weight.assets)],
    ["the grid, as sent", kib(weight.grid)],
    ["first view", `${firstView.toFixed(0)} ms`],
    ["longest task until then", longest(first)],
    ["longest task afterwards", longest(later)],
    ["tasks over 50 ms afterwards", String(later.length)],
    ["JavaScript heap at the beginning", kib(before.heap)],
    ["JavaScript heap at the end", kib(after.heap)],
    ["work of the page's thread", `${(((after.busy - before.busy) / SECONDS) * 100).toFixed(1)} % of a core`],
    ["counts at the end", `those of the API: ${JSON.stringify(told.node_states)}`],
  ]);
}

/** Runs in the page before anything else. */
function watch() {
  window.benchTasks = [];
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) window.benchTasks.push({ start: startTime, took: duration });
  }).observe({ type: "longtask", buffered: true });
  new MutationObserver((_, observer) => {
    if (!(document.querySelector(".grid-canvas")?.width > 300)) return;
    observer.disconnect();
    // After the frame in which it is painted.
    requestAnimationFrame(() => setTimeout(() => (window.benchFirstView = performance.now())));
  }).observe(document, { childList: true, subtree: true, attributes: true });
}

/** Adds up what comes over the wire. */
function weigh(devtools) {
  const sizes = { assets: 0, grid: 0 };
  const urls = new Map();
  devtools.on("Network.responseReceived", ({ requestId, response }) => urls.set(requestId, response.url));
  devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const url = urls.get(requestId) ?? "";
    if (url.includes("/assets/")) sizes.assets += encodedDataLength;
    // The first one: the page asks again when the job is over.
    if (url.endsWith("/grid") && sizes.grid === 0) sizes.grid = encodedDataLength;
  });
  return sizes;
}

async function numbers(devtools) {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const value = (wanted) => metrics.find(({ name }) => name === wanted).value;
  return { heap: value("JSHeapUsedSize"), busy: value("TaskDuration") };
}

function print(rows) {
  const width = Math.max(...rows.map(([title]) => title.length));
  for (const [title, value] of rows) console.log(`${title.padEnd(width)}  ${value}`);
}

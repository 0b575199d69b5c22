// The page of a job: what it shows while the job goes on, what may be done with it, by mouse and by keyboard.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { accessible, calm, launch, logIn, open, pictures } from "./browser.mjs";
import { USERS, World, until } from "./world.mjs";

const NODES = ["db1.test", "web1.test", "web2.test", "web3.test"];

describe("the page of a job", () => {
  let world;
  let browser;
  let session;
  let page;

  before(async () => {
    world = await World.start({ nodes: NODES });
    browser = await launch();
    session = await open(browser, world);
    page = session.page;
    await logIn(page, USERS.admin);
  });

  afterEach(() => world.calm());

  after(async () => {
    await browser?.close();
    await world?.end();
  });

  /** The counts on the page, by state. */
  async function shown() {
    const chips = page.locator(".legend .chip");
    const counts = {};
    for (const chip of await chips.all()) counts[await chip.getAttribute("data-state")] = Number(await chip.locator("b").textContent());
    return counts;
  }

  /** Waits until the page shows these counts; those not named are 0. */
  async function shows(wanted) {
    const all = { waiting: 0, running: 0, finished: 0, failed: 0, errored: 0, skipped: 0, ...wanted };
    await until(`the page shows ${JSON.stringify(wanted)}`, async () => JSON.stringify(await shown()) === JSON.stringify(all));
  }

  const state = (word) => page.locator(".job-head .badge", { hasText: word }).waitFor();
  const panel = () => page.getByRole("complementary");

  test("a deploy is followed to its end, level by level", async () => {
    world.hold(...NODES);
    const job = await world.deploy(undefined, { scope: { whole_environment: true } });
    await page.goto(`/jobs/${job}`);
    await shows({ waiting: 3, running: 1 });
    await state("running");
    await page.getByText("Waiting for the nodes that the others depend on.").waitFor();
    assert.match(await page.locator(".level-list").innerText(), /at once[\s\S]*1 running[\s\S]*level 2[\s\S]*3 waiting/);
    assert.equal(await page.locator(".figures", { hasText: "Time left" }).locator("dd").nth(2).textContent(), "—");
    await accessible(page, "a job that runs");

    world.failing("web2.test");
    world.release("db1.test");
    await shows({ finished: 1, running: 3 });
    await pictures(page, "job-running");
    world.release();
    await shows({ finished: 3, failed: 1 });
    await state("failed");
    await page.getByText("100 %").waitFor();
    await page.getByRole("progressbar", { name: "Nodes that are over" }).waitFor();
    const told = await world.over(job);
    assert.deepEqual(told.node_states, { finished: 3, failed: 1 });
    calm(session);
  });

  test("failures are one sentence, and open to nodes and a node", async () => {
    world.failing(...NODES.slice(1));
    const job = await world.deploy(NODES.slice(1));
    await page.goto(`/jobs/${job}`);
    const sentence = page.getByRole("button", { name: /3 nodes failed/ });
    await sentence.waitFor();
    assert.equal(await page.locator(".failures > li").count(), 1);
    await sentence.click();
    await page.getByRole("button", { name: "What do they have in common?" }).click();
    await page.locator(".failure-facts").getByText(/fact|Fact/).first().waitFor();
    await page.locator(".failures").getByRole("link", { name: "web2.test" }).click();
    await panel().getByText("run failed").waitFor();
    await panel().getByText("File[/etc/motd]", { exact: true }).waitFor();
    assert.match(page.url(), /node=web2\.test/);
    await accessible(page, "a job with a node's panel");
    await pictures(page, "job-node");
    await page.keyboard.press("Escape");
    await panel().waitFor({ state: "hidden" });
    assert.doesNotMatch(page.url(), /node=/);
    calm(session);
  });

  test("a link to a node opens its panel", async () => {
    const job = await world.deploy(["web1.test"]);
    await world.over(job);
    await page.goto(`/jobs/${job}?node=web1.test`);
    await panel().getByRole("heading", { name: "web1.test" }).waitFor();
    await panel().getByText("finished").first().waitFor();
    await page.getByText("The same by the API").click();
    await page.getByText(`/bunraku/v1/jobs/${job}/nodes/web1.test`).waitFor();
    calm(session);
  });

  test("the output of a task is shown, and its error", async () => {
    const run = async (params) => (await world.post("/orchestrator/v1/command/task", { task: "site::greet", params, scope: { nodes: ["web1.test"] } })).job.name;
    const good = await run({ greeting: "Good day" });
    await page.goto(`/jobs/${good}?node=web1.test`);
    await panel().getByText("Good day from the task").waitFor();
    const bad = await run({ mode: "fail" });
    await page.goto(`/jobs/${bad}?node=web1.test`);
    await panel().getByText("no greeting today").first().waitFor();
    await panel().getByText("site/refused").waitFor();
    await page.getByRole("heading", { name: `Job ${bad}: task site::greet` }).waitFor();
    calm(session);
  });

  test("nodes are filtered by state, cause and text, and the address keeps it", async () => {
    world.failing("web2.test");
    const job = await world.deploy(NODES.slice(1));
    await world.over(job);
    world.failing();
    await page.goto(`/jobs/${job}?view=table`);
    const rows = page.locator(".job-nodes tbody tr:not(.space)");
    const names = async (...wanted) => until(`the table shows ${wanted}`, async () => (await rows.locator("a").allTextContents()).join() === wanted.join());
    await names("web1.test", "web2.test", "web3.test");
    await page.locator(".legend").getByRole("button", { name: "failed" }).click();
    await names("web2.test");
    await page.reload();
    await names("web2.test");
    await page.locator(".legend").getByRole("button", { name: "failed" }).click();
    await page.getByLabel("Find nodes").fill("web3");
    await names("web3.test");
    await page.getByLabel("Find nodes").fill("");
    await page.getByLabel("Cause", { exact: true }).selectOption("run_failed");
    await names("web2.test");
    assert.match(page.url(), /cause=run_failed/);
    await page.getByLabel("Cause", { exact: true }).selectOption("");
    await page.getByRole("button", { name: "Node", exact: true }).click();
    await names("web3.test", "web2.test", "web1.test");
    await accessible(page, "the table of a job");
    await pictures(page, "job-table");
    calm(session);
  });

  test("the keyboard alone reaches a node and comes back", async () => {
    const job = await world.deploy(NODES);
    await world.over(job);
    await page.goto(`/jobs/${job}`);
    const grid = page.getByRole("listbox", { name: "Nodes" });
    await grid.waitFor();
    // Tab until the grid has the focus, as one does without a mouse.
    await until("the grid has the focus", async () => {
      if (await grid.evaluate((element) => element === document.activeElement)) return true;
      await page.keyboard.press("Tab");
      return false;
    });
    const active = async () => page.locator(`#${await grid.getAttribute("aria-activedescendant")}`).textContent();
    assert.equal(await active(), "db1.test, finished");
    await page.keyboard.press("ArrowRight");
    assert.equal(await active(), "web1.test, finished");
    await page.keyboard.press("End");
    assert.equal(await active(), "web3.test, finished");
    await page.keyboard.press("Enter");
    await panel().getByRole("heading", { name: "web3.test" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "web3.test");
    await page.keyboard.press("Escape");
    assert.ok(await grid.evaluate((element) => element === document.activeElement), "the focus is back where it was");
    calm(session);
  });

  test("a stop lets what runs finish and skips the others", async () => {
    world.hold(...NODES);
    const job = await world.deploy(NODES, { concurrency: 1 });
    await page.goto(`/jobs/${job}`);
    await shows({ running: 1, waiting: 3 });
    await page.getByText("the job's own concurrency is reached").or(page.getByText("depend on")).first().waitFor();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await accessible(page, "the question before a stop");
    await page.getByRole("dialog").getByRole("button", { name: "Stop the job" }).click();
    await shows({ running: 1, skipped: 3 });
    await state("stopping");
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor({ state: "hidden" });
    world.release();
    await shows({ finished: 1, skipped: 3 });
    await state("stopped");
    calm(session);
  });

  test("force ends what runs, and says before what it cannot end", async () => {
    world.hold(...NODES);
    const job = await world.deploy(["web1.test", "web2.test"]);
    await page.goto(`/jobs/${job}`);
    await shows({ running: 2 });
    await page.getByRole("button", { name: "Stop by force" }).click();
    await page.getByRole("dialog").getByText(/pxp-agent cannot end a run/).waitFor();
    await pictures(page, "job-force");
    await page.getByRole("dialog").getByRole("button", { name: "End the runs" }).click();
    const told = await world.over(job);
    const { errored = 0, failed = 0 } = told.node_states;
    assert.equal(errored + failed, 2);
    await shows({ errored, failed });
    await state("stopped");
    calm(session);
  });

  test("what failed runs again as a job of its own, and both are linked", async () => {
    world.failing("web2.test");
    const job = await world.deploy(NODES.slice(1));
    await world.over(job);
    world.failing();
    await page.goto(`/jobs/${job}`);
    await page.getByRole("button", { name: "Run again" }).click();
    const dialog = page.getByRole("dialog");
    assert.ok(await dialog.getByLabel(/What nobody knows \(0\)/).isDisabled());
    await dialog.getByLabel(/Only what failed \(1\)/).check();
    await accessible(page, "the question what runs again");
    await dialog.getByRole("button", { name: "Run", exact: true }).click();
    await page.waitForURL((url) => url.pathname.startsWith("/jobs/") && url.pathname !== `/jobs/${job}`);
    await shows({ finished: 1 });
    await page.getByRole("link", { name: `job ${job}`, exact: true }).click();
    await page.getByText("Run again by").waitFor();
    await shows({ finished: 2, failed: 1 });
    calm(session);
  });

  test("the timeline says in words what it draws", async () => {
    const job = await world.deploy(NODES);
    await world.over(job);
    await page.goto(`/jobs/${job}`);
    await page.getByText("Timeline", { exact: true }).click();
    await page.getByText(/^4 runs from .* at most \d at once\. Half of the runs took/).waitFor();
    assert.equal(await page.locator(".timeline-longest li").count(), 4);
    assert.ok(await page.locator(".timeline-canvas").evaluate((canvas) => canvas.height > 4), "something is drawn");
    await pictures(page, "job-timeline");
    calm(session);
  });

  test("a job that there is not is said in words", async () => {
    await page.goto("/jobs/999999");
    await page.getByRole("alert").getByText(/999999/).waitFor();
    await accessible(page, "no such job");
    calm(session);
  });

  test("a viewer is offered nothing that changes anything", async () => {
    world.hold("web1.test");
    const job = await world.deploy(["web1.test"]);
    const other = await open(browser, world);
    await logIn(other.page, USERS.viewer, `/jobs/${job}`);
    await other.page.locator(".job-summary").waitFor();
    await other.page.locator(".legend .chip", { hasText: "running" }).locator("b", { hasText: "1" }).waitFor();
    assert.equal(await other.page.locator(".job-actions").getByRole("button").count(), 0);
    world.release();
    await other.page.locator(".job-head .badge", { hasText: "finished" }).waitFor();
    assert.equal(await other.page.locator(".job-actions").getByRole("button").count(), 0);
    calm(other);
    await other.context.close();
  });
});

// All other pages on the real service: logging in and out, running, nodes, schedules, and what a viewer is offered.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { accessible, calm, launch, logIn, open, pictures } from "./browser.mjs";
import { USERS, World, until } from "./world.mjs";

const NODES = ["db1.test", "web1.test", "web2.test"];

describe("the dashboard", () => {
  let world;
  let browser;
  let session;
  let page;

  before(async () => {
    world = await World.start({ nodes: NODES });
    browser = await launch();
    session = await open(browser, world);
    page = session.page;
  });

  afterEach(() => world.calm());

  after(async () => {
    await browser?.close();
    await world?.end();
  });

  const heading = (name) => page.getByRole("heading", { level: 1, name }).waitFor();

  test("who is not known comes to the login, and from there to where they wanted", async () => {
    await page.goto("/nodes");
    await heading("Log in to bunraku");
    assert.match(page.url(), /\/login\?next=%2Fnodes/);
    await accessible(page, "the login");
    await pictures(page, "login");
    await page.getByLabel(/^User/).fill(USERS.admin.login);
    await page.getByLabel(/^Password/).fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").getByText("User or password is wrong").waitFor();
    await accessible(page, "a refused login");
    await page.getByLabel(/^Password/).fill(USERS.admin.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await heading("Nodes");
    assert.match(page.url(), /\/nodes$/);
    calm(session);
  });

  test("before the first job the list says what to do", async () => {
    await page.goto("/");
    await page.getByText("No job has run yet").waitFor();
    await accessible(page, "no jobs");
    await pictures(page, "jobs-none");
    calm(session);
  });

  test("a task is run from the page for it, and watched", async () => {
    await page.goto("/run");
    await heading("Run");
    await page.getByRole("radio", { name: "Task" }).check();
    await page.getByRole("combobox", { name: "Task" }).fill("site::greet");
    await page.getByLabel(/^greeting/).waitFor();
    await page.goto("/run?type=task&task=site::greet&nodes=web1.test,web2.test");
    await page.getByLabel(/^greeting/).fill("Welcome");
    const submit = page.getByRole("button", { name: "Run on 2 nodes" });
    await submit.waitFor();
    await accessible(page, "running a task");
    await pictures(page, "run-task");
    await submit.click();
    await page.waitForURL((url) => url.pathname.startsWith("/jobs/"));
    await page.locator(".job-head .badge", { hasText: "finished" }).waitFor();
    await page.getByRole("heading", { name: /task site::greet/ }).waitFor();
    const job = new URL(page.url()).pathname.split("/").pop();
    const { items } = await world.get(`/orchestrator/v1/jobs/${job}/nodes`);
    assert.deepEqual(items.map(({ result }) => result._output.trim()), ["Welcome from the task", "Welcome from the task"]);
    calm(session);
  });

  test("a Puppet run is run from the page for it", async () => {
    await page.goto("/run?nodes=web1.test");
    const submit = page.getByRole("button", { name: "Run on 1 node" });
    await submit.waitFor();
    await accessible(page, "running Puppet");
    await pictures(page, "run");
    await submit.click();
    await page.waitForURL((url) => url.pathname.startsWith("/jobs/"));
    await page.locator(".job-head .badge", { hasText: "finished" }).waitFor();
    calm(session);
  });

  test("the list of jobs is live", async () => {
    await page.goto("/");
    await heading("Jobs");
    await page.getByText(`${NODES.length} nodes connected`).waitFor();
    world.hold("web1.test");
    const job = await world.deploy(["web1.test"], { description: "made elsewhere" });
    const row = page.locator(`tr[data-job="${job}"]`);
    await row.getByText("made elsewhere").waitFor();
    await row.getByText("running").first().waitFor();
    await accessible(page, "the list of jobs");
    await pictures(page, "jobs");
    world.release();
    await row.locator(".badge", { hasText: "finished" }).waitFor();
    await row.getByRole("link").first().click();
    await page.waitForURL((url) => url.pathname === `/jobs/${job}`);
    calm(session);
  });

  test("nodes are listed, found, and each says what it does", async () => {
    await page.goto("/nodes");
    await heading("Nodes");
    await page.getByRole("link", { name: "web2.test" }).waitFor();
    await accessible(page, "the nodes");
    await pictures(page, "nodes");
    await page.getByRole("searchbox").first().fill("web1");
    await page.getByRole("link", { name: "web2.test" }).waitFor({ state: "hidden" });
    await page.getByRole("link", { name: "web1.test" }).click();
    await heading("web1.test");
    await page.getByRole("heading", { name: "What it does now" }).waitFor();
    await accessible(page, "a node");
    await pictures(page, "node");
    calm(session);
  });

  test("what is scheduled is listed, and can be ended", async () => {
    const later = new Date(Date.now() + 86_400_000).toISOString();
    const input = { scope: { nodes: ["web1.test"] } };
    const made = await world.post("/orchestrator/v1/scheduled_jobs/environment_jobs", { type: "deploy", environment: "production", input, schedule: { start_time: later, interval: null }, description: "every night" }, 200);
    await page.goto("/schedules");
    await page.getByText("every night").waitFor();
    await accessible(page, "the schedules");
    await pictures(page, "schedules");
    await page.getByRole("button", { name: `Disable schedule ${made.scheduled_job.name}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disable for good" }).click();
    await until("it is disabled", async () => {
      const shown = await world.get(`/orchestrator/v1/scheduled_jobs/environment_jobs/${made.scheduled_job.name}`);
      return shown.next_run === null;
    });
    await page.locator("td .badge", { hasText: "disabled" }).waitFor();
    calm(session);
  });

  test("an address that there is not is said in words", async () => {
    await page.goto("/");
    await heading("Jobs");
    await page.evaluate(() => {
      history.pushState(null, "", "/nothing/here");
      dispatchEvent(new PopStateEvent("popstate"));
    });
    await page.locator("h1").filter({ hasNotText: "Jobs" }).waitFor();
    await accessible(page, "no such page");
    calm(session);
  });

  test("a viewer is offered no run and no schedule", async () => {
    const other = await open(browser, world);
    await logIn(other.page, USERS.viewer);
    await other.page.getByRole("heading", { level: 1, name: "Jobs" }).waitFor();
    assert.equal(await other.page.getByRole("navigation", { name: "Pages" }).first().getByRole("link", { name: "Run" }).count(), 0);
    await other.page.goto("/run");
    await other.page.getByText("Your role does not run anything").waitFor();
    await accessible(other.page, "no run for a viewer");
    await other.page.goto("/schedules");
    await other.page.getByRole("heading", { level: 1, name: "Schedules" }).waitFor();
    assert.equal(await other.page.getByRole("link", { name: "Schedule a run" }).count(), 0);
    calm(other);
    await other.context.close();
  });

  test("who logs out is out, also on the other pages", async () => {
    await page.goto("/");
    await heading("Jobs");
    const second = await session.context.newPage();
    await second.goto("/nodes");
    await second.getByRole("heading", { level: 1, name: "Nodes" }).waitFor();
    await page.getByLabel(/^Account of/).click();
    await page.getByRole("button", { name: "Log out" }).click();
    await heading("Log in to bunraku");
    await second.goto("/nodes");
    await second.getByRole("heading", { level: 1, name: "Log in to bunraku" }).waitFor();
    calm(session);
  });
});

// The service dies and comes back: the page says so, goes on by itself, and counts nothing twice.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { accessible, calm, launch, logIn, open, pictures } from "./browser.mjs";
import { USERS, World, until } from "./world.mjs";

const NODES = ["db1.test", "web1.test", "web2.test", "web3.test", "web4.test", "web5.test"];

describe("a service that dies", () => {
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

  const count = (state) => page.locator(`.legend .chip[data-state="${state}"] b`);
  const shows = (state, number) => until(`${number} nodes are shown as ${state}`, async () => (await count(state).textContent()) === String(number));

  test("is away in the middle of a job, and the page heals", async () => {
    world.hold(...NODES.slice(2));
    const job = await world.deploy(NODES, { environment: "" });
    await page.goto(`/jobs/${job}`);
    await shows("finished", 2);
    await shows("running", 4);
    await world.kill();
    const banner = page.locator(".banner");
    await banner.getByText("The connection is lost").waitFor();
    await accessible(page, "a lost connection");
    await pictures(page, "lost");
    // One ends while nobody listens.
    world.release("web2.test");
    await world.comeBack();
    await banner.getByText("The connection is lost").waitFor({ state: "hidden" });
    await shows("finished", 3);
    await shows("running", 3);
    world.failing("web3.test");
    world.release();
    const told = await world.over(job);
    assert.deepEqual(told.node_states, { finished: 5, failed: 1 });
    await page.locator(".job-head .badge", { hasText: "failed" }).waitFor();
    await shows("finished", 5);
    await shows("failed", 1);
    await shows("running", 0);
    await page.getByRole("button", { name: /1 node failed/ }).waitFor();
    calm(session);
  });

  test("is away while the job ends: the page has the end as soon as it is back", async () => {
    world.hold("web1.test");
    const job = await world.deploy(["web1.test"]);
    await page.goto(`/jobs/${job}`);
    await shows("running", 1);
    // What is open stays open for the browser that is offline: the service has to go as well.
    await session.context.setOffline(true);
    await world.kill();
    await page.locator(".banner").getByText("The connection is lost").waitFor();
    await world.comeBack();
    world.release();
    await world.over(job);
    await session.context.setOffline(false);
    await page.locator(".job-head .badge", { hasText: "finished" }).waitFor();
    await shows("finished", 1);
    await page.locator(".banner").getByText("The connection is lost").waitFor({ state: "hidden" });
    calm(session);
  });
});

// Debian's Chromium, driven by playwright-core: pages that fail the test when a script does, rules of accessibility,
// screenshots.

import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { PATIENCE } from "./world.mjs";

const ROOT = path.join(import.meta.dirname, "../..");
/** Where tests/run has put the packages: not into the tree. */
const MODULES = process.env.BUNRAKU_WEB_MODULES ?? path.join(ROOT, "target/web");
const load = createRequire(path.join(MODULES, "package.json"));
const { chromium } = load("playwright-core");
const AXE = fs.readFileSync(load.resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = path.join(ROOT, "target/web/screenshots");
const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";

export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** Starts the browser. */
export function launch(more = []) {
  // Root has no sandbox; containers have little shared memory.
  return chromium.launch({ executablePath: PROGRAM, args: ["--no-sandbox", "--disable-dev-shm-usage", ...more] });
}

/**
 * A page of its own session. What goes wrong in its scripts is kept, and `calm` fails with it.
 * @param {import("playwright-core").Browser} browser
 * @param {import("./world.mjs").World} world
 * @param {object} [options] of the browser's context
 */
export async function open(browser, world, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, baseURL: world.url, viewport: DESKTOP, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.setDefaultNavigationTimeout(PATIENCE);
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(error.stack ?? String(error)));
  page.on("console", (message) => {
    // A lost connection is written down by the browser itself; so is an answer that says no.
    if (message.type() === "error" && !/Failed to load resource|ERR_|EventSource/.test(message.text())) troubles.push(message.text());
  });
  return { page, context, troubles };
}

/** Fails when a script of the page went wrong. */
export function calm({ troubles }) {
  assert.deepEqual(troubles, []);
}

/** Logs in by the page for it. */
export async function logIn(page, { login, password }, next = "/") {
  await page.goto(`/login?next=${encodeURIComponent(next)}`);
  await page.getByLabel(/^User/).fill(login);
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
}

/**
 * No rule of accessibility is broken on the page as it is, in light and in dark.
 * @param {import("playwright-core").Page} page
 * @param {string} name of the page in the failure
 */
export async function accessible(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    // Not as a script of the page, which its policy forbids.
    const found = await page.evaluate(`${AXE}; axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })`);
    const said = found.violations.map(({ id, help, nodes }) => `${id}: ${help}\n    ${nodes.map(({ html, any }) => `${html.slice(0, 200)} ${any.map(({ message }) => message).join("; ")}`).join("\n    ")}`);
    assert.deepEqual(said, [], `${name} (${colorScheme})`);
    assert.ok(found.passes.length > 0, "something was looked at");
  }
  await page.emulateMedia({ colorScheme: "light" });
}

/**
 * Pictures of the page: light, dark, and on a phone.
 * @param {import("playwright-core").Page} page
 * @param {string} name
 */
export async function pictures(page, name) {
  fs.mkdirSync(SHOTS, { recursive: true });
  const before = page.viewportSize();
  const shots = [["light", DESKTOP], ["dark", DESKTOP], ["light", PHONE], ["dark", PHONE]];
  for (const [colorScheme, viewport] of shots) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const kind = viewport === PHONE ? `phone-${colorScheme}` : colorScheme;
    await page.screenshot({ path: path.join(SHOTS, `${name}-${kind}.png`), fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, `${name}: the page is ${wide} pixels wider than a screen of ${viewport.width}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(before);
}

// Pages by path, in the browser: which module shows which address, what happens when one is left, and filters in the address.

import { h, replace } from "./dom.js";

const NAME = "bunraku";
/**
 * Address patterns and the modules that show them; `:x` is a parameter.
 * @type {[string, () => Promise<any>][]}
 */
const ROUTES = [
  ["/", () => import("./pages/jobs.js")],
  ["/jobs/:id", () => import("./pages/job.js")],
  ["/run", () => import("./pages/run.js")],
  ["/nodes", () => import("./pages/nodes.js")],
  ["/nodes/:certname", () => import("./pages/node.js")],
  ["/schedules", () => import("./pages/schedules.js")],
  ["/login", () => import("./pages/login.js")],
];

/**
 * What a page gets.
 * @typedef {object} PageContext
 * @property {Record<string, string>} params of the address
 * @property {URLSearchParams} query
 * @property {HTMLElement} main an empty element for the page alone
 * @property {(text: string) => void} title sets the title of the document
 * @property {(fn: () => void) => void} onLeave called when another page comes
 * @property {AbortSignal} signal aborted when another page comes
 */

let outlet = null;
/** @type {(path: string) => Promise<boolean>} */
let before = async () => true;
let trouble = (error) => h("p", { role: "alert" }, error.message);
let watchers = [];
let leave = () => {};
let turn = 0;
/** The address that the page shows, without its place within the page. */
let shown = "";

/**
 * Shows the page of the current address, and from then on those of all others.
 * @param {HTMLElement} main
 * @param {{guard: (path: string) => Promise<boolean>, onError: (error: Error) => Node, onPage: (path: string) => void}} options
 *   `guard` says whether the page may be shown now
 */
export function start(main, { guard, onError, onPage }) {
  outlet = main;
  before = guard;
  trouble = onError;
  watchers = [onPage];
  // Pages come after their data: only we know when there is something to scroll to.
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", () => {
    // A place within the page is another address, but no other page.
    if (location.pathname + location.search !== shown) show(true, history.state?.y ?? 0);
  });
  document.addEventListener("click", follow);
  show(false);
}

function follow(event) {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || anchor.target || anchor.hasAttribute("download") || anchor.origin !== location.origin) return;
  // The skip link and others within the page are the browser's.
  if (anchor.hash && anchor.pathname === location.pathname) return;
  if (!match(anchor.pathname)) return;
  event.preventDefault();
  navigate(anchor.pathname + anchor.search);
}

function match(path) {
  const parts = path.split("/").filter(Boolean);
  for (const [pattern, load] of ROUTES) {
    const wanted = pattern.split("/").filter(Boolean);
    if (wanted.length !== parts.length) continue;
    const params = {};
    const fits = wanted.every((part, at) => {
      if (part.startsWith(":")) params[part.slice(1)] = decode(parts[at]);
      return part.startsWith(":") || part === parts[at];
    });
    if (fits) return { load, params };
  }
  return null;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Goes to an address of the dashboard.
 * @param {string} url
 * @param {{replace?: boolean}} [options] `replace`: the present address is not kept in the history
 */
export function navigate(url, options = {}) {
  if (options.replace || url === location.pathname + location.search) history.replaceState(null, "", url);
  else {
    history.replaceState({ y: window.scrollY }, "");
    history.pushState(null, "", url);
  }
  show(true, 0);
}

/**
 * A link within the dashboard.
 * @param {string} href
 * @param {Record<string, any>|string|Node} [props] as of `h`
 * @param {...any} children
 * @returns {HTMLAnchorElement}
 */
export function link(href, props, ...children) {
  const anchor = h("a", props, ...children);
  anchor.setAttribute("href", href);
  return anchor;
}

/**
 * Changes parameters of the present address and leaves the page as it is.
 * @param {Record<string, string|number|null|undefined>} changes null and "" take a parameter away
 * @param {{push?: boolean}} [options] `push`: the back key returns to what was
 */
export function setQuery(changes, options = {}) {
  const params = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, String(value));
  }
  const query = params.toString();
  const url = location.pathname + (query === "" ? "" : `?${query}`);
  if (url === location.pathname + location.search) return;
  if (options.push) history.pushState(null, "", url);
  else history.replaceState(history.state, "", url);
  shown = url;
}

async function show(moved, y = 0) {
  // Without a place for pages, as under test, there is only the address.
  if (!outlet) return;
  const mine = ++turn;
  leave();
  const path = location.pathname;
  shown = path + location.search;
  const leavers = [];
  const abort = new AbortController();
  leave = () => {
    abort.abort();
    for (const fn of leavers.splice(0)) fn();
  };
  const found = match(path);
  // What comes late from a page that was left goes into an element that nobody sees.
  const main = h("div", { class: "page" });
  const title = (text) => {
    if (mine === turn) document.title = text === "" ? NAME : `${text} · ${NAME}`;
  };
  try {
    // The page comes over the network while it is asked who is there.
    const loading = found ? found.load() : import("./pages/missing.js");
    loading.catch(() => {});
    if (!(await before(path)) || mine !== turn) return;
    for (const watch of watchers) watch(path);
    const module = await loading;
    if (mine !== turn) return;
    replace(outlet, main);
    if (moved) window.scrollTo(0, 0);
    title("");
    const done = module.default({
      params: found?.params ?? {},
      query: new URLSearchParams(location.search),
      main,
      title,
      onLeave: (fn) => leavers.push(fn),
      signal: abort.signal,
    });
    // Most pages have their heading before their data.
    if (moved) focusHeading(main);
    await done;
    if (mine === turn && y > 0) window.scrollTo(0, y);
    if (mine === turn && moved && document.activeElement === document.body) focusHeading(main);
  } catch (error) {
    if (mine !== turn || error.name === "AbortError" || error.status === 401) return;
    if (error.status === undefined) console.error(error);
    if (!main.isConnected) replace(outlet, main);
    replace(main, h("h1", { tabindex: "-1" }, "This page does not come up"), trouble(error));
    title("Trouble");
    focusHeading(main);
  }
}

function focusHeading(main) {
  const heading = main.querySelector("h1");
  // A page may have chosen a better place, as the login does.
  if (!heading || main.contains(document.activeElement)) return;
  heading.setAttribute("tabindex", "-1");
  heading.focus({ preventScroll: true });
}

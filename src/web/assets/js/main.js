// The shell: header, navigation, account menu, banner of a lost connection; then the router shows the pages.

import { hearOthers, loadSession, session, toLogin } from "./api.js";
import { announce, h, replace } from "./dom.js";
import { icon, mark } from "./icons.js";
import { accountMenu } from "./menu.js";
import { link, start } from "./router.js";
import { connection, crowded, retryNow } from "./stream.js";
import { button, errorBox } from "./ui.js";

/** @type {{href: string, label: string, sign: string, under: string, needs?: string[]}[]} */
const TABS = [
  { href: "/", label: "Jobs", sign: "list", under: "/jobs" },
  { href: "/nodes", label: "Nodes", sign: "nodes", under: "/nodes" },
  { href: "/schedules", label: "Schedules", sign: "clock", under: "/schedules" },
  { href: "/run", label: "Run", sign: "play", under: "/run", needs: ["puppet_agent:run", "tasks:run"] },
];

const main = h("main", { id: "main", tabindex: "-1" });
const nav = h("nav", { class: "tabs", "aria-label": "Main" });
const account = h("div", { class: "account" });
const banner = h("div", { class: "banner", role: "status" });
const header = h("header", { class: "top" }, h("div", { class: "curtain", "aria-hidden": "true" }), h("div", { class: "top-row" }, link("/", { class: "brand" }, mark(), h("span", {}, "bunraku")), nav, account));

document.body.append(h("a", { class: "skip", href: "#main", onclick: skip }, "Skip to the content"), header, banner, main);

/** Not by the browser: the address would get a place that the back key returns from. */
function skip(event) {
  event.preventDefault();
  main.focus();
}

function drawShell(who) {
  document.body.classList.toggle("signed-in", who !== null);
  replace(account, who ? accountMenu(who) : null);
  drawTabs();
}

function drawTabs() {
  const who = session.get();
  const mayUse = (tab) => !tab.needs || tab.needs.some((permission) => who.permissions.includes(permission));
  const path = location.pathname;
  const tab = ({ href, label, sign, under }) => {
    const here = path === href || path.startsWith(`${under}/`);
    return link(href, { class: `tab tab-${label.toLowerCase()}`, "aria-current": here ? "page" : null }, icon(sign), label);
  };
  replace(nav, who ? TABS.filter(mayUse).map(tab) : null);
}

let lost = false;
connection.subscribe((state) => {
  if (state === "lost") {
    lost = true;
    replace(banner, icon("warn"), h("span", {}, "The connection is lost. What you see may be old; it comes back by itself."), button("Try now", { onclick: retryNow }));
  } else if (lost) {
    lost = false;
    drawRoom();
    announce("The connection is back, everything is live again");
  }
});

function drawRoom() {
  if (lost) return;
  if (crowded.get()) replace(banner, h("span", {}, "This page is not live: too many windows of bunraku are open. Close some, then reload."), button("Reload", { onclick: () => location.reload() }));
  else replace(banner);
}
crowded.subscribe(drawRoom);

/** Nobody but the login is shown without a session. */
async function guard(path) {
  if (path === "/login" || session.get()) return true;
  try {
    await loadSession();
    return true;
  } catch (error) {
    if (error.status === 401) {
      toLogin();
      return false;
    }
    throw error;
  }
}

session.subscribe(drawShell);
hearOthers(() => location.reload());
start(main, { guard, onError: (error) => errorBox(error, () => location.reload()), onPage: drawTabs });

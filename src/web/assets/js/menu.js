// The account menu: who is logged in, the theme, the password, and the way out.

import { logOut, put } from "./api.js";
import { h } from "./dom.js";
import { timeText } from "./format.js";
import { icon } from "./icons.js";
import { button, dialog, field, toast } from "./ui.js";

const THEMES = [
  { value: "", label: "System", sign: "screen" },
  { value: "light", label: "Light", sign: "sun" },
  { value: "dark", label: "Dark", sign: "moon" },
];
const KEY = "bunraku-theme";

/**
 * The menu; it opens below its button.
 * @param {{login: string, display_name: string, role: string, expires_at: string|null}} who
 * @returns {HTMLElement}
 */
export function accountMenu(who) {
  const name = who.display_name || who.login;
  const summary = h("summary", { class: "button button-quiet", "aria-label": `Account of ${name}` }, icon("user"), h("span", { class: "account-name" }, name));
  const element = h(
    "details",
    { class: "menu" },
    summary,
    h(
      "div",
      { class: "menu-panel" },
      h("p", { class: "menu-who" }, h("strong", {}, name), h("span", { class: "muted" }, who.role)),
      who.expires_at ? h("p", { class: "muted small" }, `Logged in until ${timeText(who.expires_at)}`) : null,
      themeSwitch(),
      button("Change password", { kind: "quiet", class: "menu-item", onclick: () => shut(changePassword) }),
      h("a", { class: "button button-quiet menu-item", href: "/bunraku/v1/docs/index.html", target: "_blank", rel: "noopener" }, "API reference"),
      button("Log out", { kind: "quiet", icon: "logout", class: "menu-item", onclick: () => shut(() => logOut().catch((error) => toast(error.message, "bad"))) }),
    ),
  );
  const shut = (then) => {
    element.open = false;
    then?.();
  };
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    shut();
    summary.focus();
  });
  element.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !element.contains(event.relatedTarget)) shut();
  });
  const outside = (event) => {
    if (!element.isConnected) document.removeEventListener("pointerdown", outside);
    else if (!element.contains(event.target)) shut();
  };
  document.addEventListener("pointerdown", outside);
  return element;
}

/**
 * The choice of light, dark, or as the system has it.
 * @returns {HTMLElement}
 */
export function themeSwitch() {
  const now = document.documentElement.dataset.theme ?? "";
  const choose = (value) => {
    if (value === "") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
    try {
      if (value === "") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, value);
    } catch {
      // It counts until the page is left.
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  const radio = ({ value, label, sign }) => h("label", { class: "segment" }, h("input", { type: "radio", name: "theme", value, checked: value === now, onchange: () => choose(value) }), h("span", {}, icon(sign), label));
  return h("fieldset", { class: "segments" }, h("legend", { class: "visually-hidden" }, "Theme"), THEMES.map(radio));
}

function changePassword() {
  const old = h("input", { type: "password", autocomplete: "current-password" });
  const fresh = h("input", { type: "password", autocomplete: "new-password", minlength: "8" });
  const form = h("form", { class: "stack" }, field({ label: "Present password", control: old }), field({ label: "New password", control: fresh, hint: "At least 8 characters. All your sessions end; log in again then." }));
  const save = async (close) => {
    await put("/bunraku/v1/password", { old: old.value, new: fresh.value });
    close();
    toast("The password is changed");
    await logOut();
  };
  let act;
  dialog({ title: "Change password", content: form, actions: [{ label: "Cancel", kind: "quiet" }, { label: "Change", kind: "primary", onclick: save, ref: (made) => (act = made) }] });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act.click();
  });
}

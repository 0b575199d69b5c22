// Logging in, by user and password or by a token.

import { logIn, session } from "../api.js";
import { h, replace } from "../dom.js";
import { mark } from "../icons.js";
import { themeSwitch } from "../menu.js";
import { navigate } from "../router.js";
import { busy, button, errorBox, field, setLabel } from "../ui.js";

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ main, title, query }) {
  title("Log in");
  const trouble = h("div", {});
  const login = h("input", { name: "login", autocomplete: "username", autocapitalize: "none", spellcheck: "false" });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password" });
  const token = h("input", { name: "token", type: "password", autocomplete: "off", spellcheck: "false" });
  const submit = button("Log in", { kind: "primary", type: "submit" });
  const byPassword = h("div", { class: "stack" }, field({ label: "User", control: login, required: true }), field({ label: "Password", control: password, required: true }));
  const byToken = h("div", { class: "stack", hidden: true }, field({ label: "Token", control: token, hint: "As bunraku token create has printed it." }));
  const other = button("Use a token instead", { kind: "quiet", onclick: () => choose(byToken.hidden) });

  function choose(withToken) {
    byToken.hidden = !withToken;
    byPassword.hidden = withToken;
    token.required = withToken;
    login.required = !withToken;
    password.required = !withToken;
    setLabel(other, withToken ? "Use user and password instead" : "Use a token instead");
    (withToken ? token : login).focus();
  }

  async function send(event) {
    event.preventDefault();
    replace(trouble);
    await busy(submit, async () => {
      try {
        await logIn(byToken.hidden ? { login: login.value.trim(), password: password.value } : { token: token.value.trim() });
        navigate(target(query.get("next")), { replace: true });
      } catch (error) {
        replace(trouble, errorBox(explained(error)));
        const wrong = byToken.hidden ? password : token;
        wrong.value = "";
        wrong.focus();
      }
    });
  }

  replace(
    main,
    h(
      "div",
      { class: "login" },
      mark(),
      h("h1", {}, "Log in to bunraku"),
      query.get("next") ? h("p", { class: "muted" }, "Your session is over, or you have none yet. You come back to where you were.") : null,
      h("form", { class: "stack card", onsubmit: send, "aria-label": "Log in" }, trouble, byPassword, byToken, submit, other),
      themeSwitch(),
    ),
  );
  session.set(null);
  login.focus();
}

/** Only addresses of the dashboard: a link must not lead elsewhere. */
function target(next) {
  if (!next) return "/";
  const url = new URL(next, location.origin);
  return url.origin === location.origin && next.startsWith("/") && url.pathname !== "/login" ? url.pathname + url.search : "/";
}

function explained(error) {
  if (error.status !== 401) return error;
  const kind = error.kind.split("/").pop();
  const words = { "invalid-credentials": "User or password is wrong", "invalid-token": "There is no such token", "token-expired": "The token's time is over", "token-revoked": "The token is revoked", "user-revoked": "This user is revoked" };
  return Object.assign(new Error(words[kind] ?? error.msg), { ...error, msg: words[kind] ?? error.msg });
}

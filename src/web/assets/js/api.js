// Calls of the service's API, with the session's cookie. Who is not known goes to the login.

import { signal } from "./dom.js";
import { navigate } from "./router.js";

/** Everything of the API lies under it for the browser. */
export const PREFIX = "/ui";
const WHOAMI = "/bunraku/v1/whoami";
const SESSION = "/bunraku/v1/session";

/** What the service refused, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} kind
   * @param {string} msg
   * @param {Record<string, any>} details
   */
  constructor(status, kind, msg, details) {
    super(msg);
    this.name = "ApiError";
    this.status = status;
    this.kind = kind;
    this.msg = msg;
    this.details = details;
  }
}

/** Who is logged in, as whoami says; null before that is known, and for nobody. */
export const session = signal(null);

/**
 * Whether the one who is logged in has a permission.
 * @param {string} permission as in docs/http-api.md, `jobs:stop`
 * @returns {boolean}
 */
export function may(permission) {
  return session.get()?.permissions.includes(permission) ?? false;
}

/**
 * GET.
 * @param {string} path as in docs/http-api.md, `/orchestrator/v1/jobs?limit=1`
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<any>} the answer's JSON
 */
export function get(path, options = {}) {
  return call("GET", path, undefined, options);
}

/**
 * POST.
 * @param {string} path
 * @param {object} [body]
 * @param {{signal?: AbortSignal, key?: string}} [options] `key`: an Idempotency-Key
 * @returns {Promise<any>}
 */
export function post(path, body = {}, options = {}) {
  return call("POST", path, body, options);
}

/**
 * PUT.
 * @param {string} path
 * @param {object} [body]
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export function put(path, body = {}, options = {}) {
  return call("PUT", path, body, options);
}

/**
 * DELETE.
 * @param {string} path
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 */
export function del(path, options = {}) {
  return call("DELETE", path, undefined, options);
}

async function call(method, path, body, options) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
    headers["X-Bunraku-CSRF"] = "1";
  }
  if (options.key) headers["Idempotency-Key"] = options.key;
  let answer;
  let text;
  try {
    answer = await fetch(PREFIX + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: options.signal,
      credentials: "same-origin",
      cache: "no-store",
    });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The service cannot be reached", {});
  }
  if (answer.ok) return text === "" ? null : parse(text, answer.status);
  if (answer.status === 401 && path !== SESSION) toLogin();
  throw refusal(answer, text);
}

function parse(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(status, "incomplete", "The answer of the service broke off", {});
  }
}

function refusal(answer, text) {
  try {
    const { kind, msg, details } = JSON.parse(text);
    return new ApiError(answer.status, kind ?? "unknown", msg ?? `The service answered ${answer.status}`, details ?? {});
  } catch {
    return new ApiError(answer.status, "unknown", `The service answered ${answer.status}`, {});
  }
}

/** Goes to the login, and remembers where from. */
export function toLogin() {
  session.set(null);
  if (location.pathname === "/login") return;
  const here = location.pathname + location.search;
  navigate(here === "/" ? "/login" : `/login?next=${encodeURIComponent(here)}`, { replace: true });
}

/**
 * Asks who is logged in.
 * @returns {Promise<object>}
 */
export async function loadSession() {
  const who = await get(WHOAMI);
  session.set(who);
  return who;
}

/**
 * Logs in.
 * @param {{login: string, password: string}|{token: string}} proof
 * @returns {Promise<object>} as whoami
 */
export async function logIn(proof) {
  const who = await post(SESSION, proof);
  session.set(who);
  others?.postMessage("session");
  return who;
}

/** Logs out; who cannot reach the service stays logged in. */
export async function logOut() {
  try {
    await del(SESSION);
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  session.set(null);
  others?.postMessage("session");
  navigate("/login");
}

const ROOT = "/orchestrator/v1";
let base = null;

/**
 * Where a shell finds the API. The pages of a demo come from a loopback address without TLS, which shells cannot use; the
 * service's own links say where it is.
 * @returns {Promise<string>} without a slash at its end
 */
export function apiBase() {
  if (location.protocol !== "http:") return Promise.resolve(location.origin);
  base ??= get(ROOT).then(({ collections }) => collections[0].id.slice(0, collections[0].id.indexOf(ROOT)));
  return base.catch(() => {
    // It is asked again when somebody looks again.
    base = null;
    return location.origin;
  });
}

/** All tabs of a browser have one cookie: what one does with it, the others must know. */
let others = null;

/**
 * Listens to what other tabs do with the session.
 * @param {() => void} reload called when somebody else is logged in by now: everything on the page is of who was before
 */
export function hearOthers(reload) {
  if (others || typeof BroadcastChannel === "undefined") return;
  others = new BroadcastChannel("bunraku");
  others.onmessage = async ({ data }) => {
    const mine = session.get();
    // The login shows nothing of anybody.
    if (data !== "session" || mine === null) return;
    try {
      const who = await get(WHOAMI);
      if (who.token_id !== mine.token_id) reload();
    } catch {
      // Nobody: `get` has gone to the login. A service that is away shows nothing new to anybody.
    }
  };
}

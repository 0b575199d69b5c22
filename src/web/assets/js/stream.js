// Server-sent events that come back by themselves: after a lost connection, after a restart of the service, and when a hidden tab
// is looked at again. While the tab is hidden there is no connection at all.

import { PREFIX, toLogin } from "./api.js";
import { signal } from "./dom.js";
import { isScarce, takePlace } from "./room.js";

const FIRST_DELAY = 300;
const LONGEST_DELAY = 15_000;
/** A shorter gap is nobody's concern: a stream that ends, a service that starts anew. */
const GAP_MILLISECONDS = 2000;
/** Who only looks at another tab for a moment keeps the connection. */
const HIDDEN_MILLISECONDS = 5000;
/** The service sends a beat every fifteen seconds of silence; two that stay away are an accident, more are a frozen service. */
const SILENT_MILLISECONDS = 40_000;

/** "live", or "lost" when a stream of the page has been away for more than a moment. */
export const connection = signal("live");

/** Whether there is no room for a stream of this window: what it shows is as it was read. */
export const crowded = signal(false);

/** Streams that found no room. They stay without until the page is read anew: what they have missed is not known. */
const refused = new Set();
/** Streams that are away. */
const away = new Set();
/** Streams that are not closed. */
const open = new Set();

/**
 * Opens a stream.
 * @param {string} path as in docs/http-api.md, without /ui
 * @param {{handlers: Record<string, (data: any, id: string) => void>, onState?: (state: "live"|"lost"|"over") => void}} options
 *   `onState` is called with "live" at every opening: without numbered events, this is when to read anew
 * @returns {{close: () => void}}
 */
export function stream(path, { handlers, onState = () => {} }) {
  const one = { source: null, timer: 0, gap: 0, watch: 0, delay: FIRST_DELAY, lastId: "", over: false, asking: false, release: null };

  one.connect = () => {
    clearTimeout(one.timer);
    if (one.over || one.source || one.asking || refused.has(one) || document.hidden) return;
    if (one.release || !isScarce()) begin();
    else find();
  };

  async function find() {
    one.asking = true;
    const release = await takePlace().catch(() => () => {});
    one.asking = false;
    if (one.over || document.hidden) return release?.();
    if (release) {
      one.release = release;
      return begin();
    }
    healed(one);
    refused.add(one);
    crowded.set(true);
  }

  function begin() {
    const source = new EventSource(PREFIX + from(path, one.lastId));
    one.source = source;
    // A service that sends no beats may be silent for hours: it is watched from its first beat on. But each answers at once.
    let beats = false;
    const alive = () => {
      clearTimeout(one.watch);
      if (beats || source.readyState !== EventSource.OPEN) one.watch = setTimeout(silent, SILENT_MILLISECONDS);
    };
    const silent = () => {
      if (document.hidden) return alive();
      lose();
      return failed(false);
    };
    alive();
    source.addEventListener("beat", () => {
      if (one.source !== source) return;
      beats = true;
      alive();
    });
    source.onopen = () => {
      alive();
      one.delay = FIRST_DELAY;
      healed(one);
      onState("live");
    };
    source.onerror = () => failed(source.readyState === EventSource.CLOSED);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        if (one.source !== source) return;
        alive();
        if (event.lastEventId) one.lastId = event.lastEventId;
        handle(JSON.parse(event.data), event.lastEventId);
      });
    }
  }

  one.drop = () => {
    clearTimeout(one.timer);
    clearTimeout(one.watch);
    one.source?.close();
    one.source = null;
  };

  /** Also the place is given back, which a stream that only comes again keeps. */
  one.leave = () => {
    one.drop();
    one.release?.();
    one.release = null;
  };

  async function failed(refused) {
    one.drop();
    // EventSource does not say why it was refused; asking once more does.
    const status = refused ? await statusOf(PREFIX + from(path, one.lastId)) : 0;
    if (one.over || one.source) return;
    if (status === 204) return end("over");
    if (status === 401) return end("over", toLogin);
    if (status === 403 || status === 404) return end("over");
    if (!one.gap) one.gap = setTimeout(lose, GAP_MILLISECONDS);
    one.timer = setTimeout(one.connect, one.delay * (0.5 + Math.random()));
    one.delay = Math.min(LONGEST_DELAY, one.delay * 2);
  }

  function lose() {
    if (away.has(one)) return;
    away.add(one);
    connection.set("lost");
    onState("lost");
  }

  function end(state, then) {
    one.close();
    onState(state);
    then?.();
  }

  one.close = () => {
    one.over = true;
    one.leave();
    open.delete(one);
    healed(one);
    refused.delete(one);
    crowded.set(refused.size > 0);
  };

  open.add(one);
  one.connect();
  return { close: one.close };
}

function healed(one) {
  clearTimeout(one.gap);
  one.gap = 0;
  away.delete(one);
  if (away.size === 0) connection.set("live");
}

function from(path, lastId) {
  if (lastId === "") return path;
  const [address, query = ""] = path.split("?");
  const params = new URLSearchParams(query);
  params.set("start", String(Number(lastId) + 1));
  return `${address}?${params}`;
}

async function statusOf(url) {
  const abort = new AbortController();
  try {
    const answer = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: abort.signal, cache: "no-store" });
    return answer.status;
  } catch {
    return 0;
  } finally {
    abort.abort();
  }
}

let hideTimer = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hideTimer);
  if (document.hidden) {
    hideTimer = setTimeout(() => {
      for (const one of open) {
        one.leave();
        clearTimeout(one.gap);
        one.gap = 0;
      }
    }, HIDDEN_MILLISECONDS);
  } else retryNow();
});
// A connection from before may be dead without anybody having said so.
window.addEventListener("online", () => {
  for (const one of open) one.drop();
  retryNow();
});
window.addEventListener("pagehide", () => open.forEach((one) => one.leave()));
window.addEventListener("pageshow", (event) => {
  if (event.persisted) retryNow();
});

/** Tries all streams that are away at once. */
export function retryNow() {
  for (const one of open) {
    one.delay = FIRST_DELAY;
    if (!one.source) one.connect();
  }
}

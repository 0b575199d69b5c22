// What a page shows is read again when something changed: not more often than it should, and after a connection that was lost.

import { stream } from "./stream.js";

/**
 * Follows the changes of jobs and nodes until the page is left.
 * @param {object} of
 * @param {() => Promise<void>} of.load reads and shows
 * @param {(changed: () => void) => object} of.handlers what is listened to; `changed` asks for another reading
 * @param {number} of.every milliseconds from one reading to the next, at least
 * @param {number} [of.lead] milliseconds from a change to the reading, at least
 * @param {(leave: () => void) => void} of.onLeave
 * @returns {() => Promise<void>} reads at once
 */
export function keepFresh({ load, handlers, every, lead = 0, onLeave }) {
  let again = 0;
  let readAt = 0;
  let opened = 0;
  const read = () => {
    clearTimeout(again);
    again = 0;
    readAt = Date.now();
    return load();
  };
  const changed = () => {
    again ||= setTimeout(read, Math.max(lead, readAt + every - Date.now()));
  };
  const live = stream("/bunraku/v1/jobs/changes", {
    handlers: handlers(changed),
    onState: (state) => state === "live" && opened++ > 0 && changed(),
  });
  onLeave(() => {
    live.close();
    clearTimeout(again);
  });
  return read;
}

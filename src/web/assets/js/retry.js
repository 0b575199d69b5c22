// When to ask again what could not be read, and when not to.

/** Pauses between readings that fail. */
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 60_000;

/** What asking again does not change: nobody is logged in, the right is gone, the thing is gone. */
const FINAL = new Set([401, 403, 404]);

/**
 * Whether a reading that failed need not be tried again.
 * @param {{status?: number}} error
 * @returns {boolean}
 */
export function isFinal(error) {
  return FINAL.has(error.status ?? 0);
}

/**
 * Pauses that double from reading to reading.
 * @returns {{next: () => number, reset: () => void}} `next` in milliseconds; `reset` after a reading that went well
 */
export function pauses() {
  let pause = FIRST_PAUSE;
  return {
    next() {
      const now = pause;
      pause = Math.min(LONGEST_PAUSE, pause * 2);
      return now;
    },
    reset() {
      pause = FIRST_PAUSE;
    },
  };
}

// Room for streams: over HTTP/1.1 a browser has six connections to a service, for all its windows together, and a stream
// keeps one. Without a limit the fifth and sixth window would leave none for what people do.

/** Streams of all windows; what is left is for requests. */
const PLACES = 4;

/**
 * Whether connections are scarce: HTTP/2 carries everything over one.
 * @returns {boolean}
 */
export function isScarce() {
  return globalThis.navigator?.locks !== undefined && performance.getEntriesByType("navigation")[0]?.nextHopProtocol === "http/1.1";
}

/**
 * Takes a place; the browser gives it back when the window is closed.
 * @returns {Promise<(() => void)|null>} gives the place back; null when all are taken
 */
export async function takePlace() {
  for (let place = 0; place < PLACES; place += 1) {
    const release = await take(`bunraku-stream-${place}`);
    if (release) return release;
  }
  return null;
}

function take(name) {
  return new Promise((resolve, reject) => {
    const hold = (lock) => (lock === null ? resolve(null) : new Promise((release) => resolve(() => release(undefined))));
    navigator.locks.request(name, { ifAvailable: true }, hold).catch(reject);
  });
}

// Hands nodes from one page to another: few in the address, so that it can be shared; many in the tab's own memory.

/** So many names make an address that servers and proxies still take. */
const MOST_IN_ADDRESS = 100;
const KEY = "bunraku-nodes";

/**
 * Keeps nodes for the page to come.
 * @param {string[]} names
 * @returns {string} the query of its address
 */
export function keepNodes(names) {
  if (names.length <= MOST_IN_ADDRESS) return `nodes=${names.map(encodeURIComponent).join(",")}`;
  try {
    sessionStorage.setItem(KEY, names.join("\n"));
  } catch {
    // Without storage the first of them are better than none.
    return `nodes=${names.slice(0, MOST_IN_ADDRESS).map(encodeURIComponent).join(",")}`;
  }
  return "nodes=@kept";
}

/**
 * The nodes that were handed over.
 * @param {URLSearchParams} query of the present address
 * @returns {string[]}
 */
export function keptNodes(query) {
  const given = query.get("nodes") ?? "";
  if (given !== "@kept") return namesIn(given);
  try {
    return namesIn(sessionStorage.getItem(KEY) ?? "");
  } catch {
    return [];
  }
}

/**
 * The names in a text, each once: separated by blanks, commas or new lines.
 * @param {string} text
 * @returns {string[]}
 */
export function namesIn(text) {
  return [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
}

// Names of node groups: jobs and schedules may name theirs by id alone.

import { get, may } from "./api.js";

let asked = null;

/**
 * The name of a group; asked for once, and only where somebody has such a group before them.
 * @param {string} group an id or a name
 * @returns {Promise<string>} what was given where it is not known
 */
export async function groupName(group) {
  if (!/^[0-9a-f]{8}-/.test(group) || !may("node_groups:view")) return group;
  asked ??= get("/bunraku/v1/groups").then(({ items }) => new Map(items.map(({ id, name }) => [id, name])));
  try {
    return (await asked).get(group) ?? group;
  } catch {
    asked = null;
    return group;
  }
}

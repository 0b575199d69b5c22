// What an address without a page shows.

import { h, replace } from "../dom.js";
import { link } from "../router.js";
import { emptyState } from "../ui.js";

/** @param {import("../router.js").PageContext} ctx */
export default async function page({ main, title }) {
  title("No such page");
  replace(main, h("h1", {}, "No such page"), emptyState("There is nothing at this address", "It may have been mistyped.", link("/", { class: "button button-primary" }, "All jobs")));
}

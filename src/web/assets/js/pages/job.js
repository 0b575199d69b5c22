// The page of one job: what it is, how far it is, what failed, its nodes, and what may be done with it.
//
// The grid is read once, then events carry it on; whatever they change is drawn once per frame. Nothing is asked again
// and again. Where events do not fit, and when the job is over, the grid is read anew: that is the same way as at the
// beginning, so nothing can be counted twice.

import { ApiError, apiBase, get } from "../api.js";
import { h } from "../dom.js";
import { jobActions } from "../job/actions.js";
import { curlFor } from "../job/dialogs.js";
import { failureList } from "../job/failures.js";
import { filterBar } from "../job/filter-bar.js";
import { filterOf, isOpen, matching, ordered, queryOf } from "../job/filter.js";
import { nodeGrid } from "../job/grid.js";
import { jobHead, titleOf } from "../job/head.js";
import { JobModel } from "../job/model.js";
import { nodesTable } from "../job/nodes-table.js";
import { nodePanel } from "../job/panel.js";
import { jobSummary, legend } from "../job/summary.js";
import { jobTimeline } from "../job/timeline.js";
import { describeNode } from "../job/words.js";
import { isFinal, pauses } from "../retry.js";
import { setQuery } from "../router.js";
import { stream } from "../stream.js";
import { copyable, errorBox } from "../ui.js";

const SECOND = 1_000;
const WRITE_EVERY = 200;
/** A view that was taken a moment before the last events looks like an older record: the grid is not read for each of them. */
const DOUBT_EVERY = 10_000;
/** As in css/job.css. */
const ROOM_BESIDE = "(min-width: 1100px)";

/** Shows the job. */
export default async function page({ params, query, main, title, onLeave }) {
  const view = new JobPage(params.id, Object.fromEntries(query), title);
  onLeave(() => view.leave());
  await view.begin(main);
}

class JobPage {
  #filter;
  #shape;
  #order = { by: "name", descending: false };
  #stream = null;
  #model = null;
  #frame = 0;
  #reading = false;
  #left = false;
  #pause = pauses();
  #lost = false;
  #doubted = -Infinity;
  #shown = null;
  #written = -Infinity;

  constructor(id, query, title) {
    this.id = id;
    this.base = location.origin;
    this.title = title;
    this.#filter = filterOf(query);
    this.#shape = query.view === "table" ? "table" : "grid";
    this.wanted = query.node ?? null;
    const model = () => this.#model;
    const clock = () => this.#model.clock(Date.now());
    const addressOf = (name) => `/jobs/${id}?node=${encodeURIComponent(name)}`;
    this.actions = jobActions(id, model);
    this.head = jobHead(this.actions.element);
    this.line = h("p", { class: "job-line", role: "status" });
    this.line.hidden = true;
    this.summary = jobSummary(model, clock);
    this.failures = failureList({ job: id, model, addressOf });
    this.bar = filterBar({ filter: (change) => this.#narrow(change), show: (shape) => this.#look(shape) });
    this.legend = legend(model, (name) => this.#toggle(name));
    this.grid = nodeGrid({ model, describe: (at) => describeNode(this.#model, at), open: (at) => this.#open(this.#model.names[at]) });
    this.table = nodesTable({ model, addressOf, clock, sort: (by, descending) => this.#sort(by, descending) });
    this.timeline = jobTimeline({ model, addressOf, clock });
    this.panel = nodePanel(id, () => this.#close());
    this.call = h("div", {});
    const nodes = h("section", { class: "job-view", "aria-labelledby": "nodes-heading" }, h("h2", { id: "nodes-heading" }, "Nodes"), this.bar.element, this.legend.element, this.grid.element, this.table.element);
    const api = h("details", { class: "job-api", ontoggle: () => this.#base() }, h("summary", {}, h("h2", {}, "The same by the API")), this.call);
    this.element = h("div", { class: "job-page" }, this.head.element, this.line, this.summary.element, this.failures.element, nodes, this.timeline.element, api, this.panel.element);
    this.element.addEventListener("click", (event) => this.#follow(event), true);
  }

  /** Reads the grid and shows the page. */
  async begin(main) {
    const grid = await get(`/bunraku/v1/jobs/${this.id}/grid`);
    if (this.#left) return;
    this.#model = new JobModel(grid);
    main.replaceChildren(this.element);
    this.#draw(true);
    this.#listen();
    this.ticker = setInterval(() => this.#tick(), SECOND);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recolor = () => {
      this.grid.recolor();
      this.timeline.recolor();
    };
    this.scheme.addEventListener("change", this.recolor);
    this.theme = new MutationObserver(this.recolor);
    this.theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
    if (this.wanted !== null) this.#open(this.wanted);
  }

  /** Lets go of everything. */
  leave() {
    this.#left = true;
    this.#silence();
    clearInterval(this.ticker);
    clearTimeout(this.again);
    clearTimeout(this.writer);
    cancelAnimationFrame(this.#frame);
    this.scheme?.removeEventListener("change", this.recolor);
    this.theme?.disconnect();
    this.grid.close();
    this.timeline.close();
  }

  #listen() {
    if (this.#model.ended || this.#stream !== null) return;
    const model = this.#model;
    const handlers = {
      node: (event, id) => this.#took(model.takeNode(id, event, Date.now())),
      job: (event, id) => {
        this.#took(model.takeJob(id, event));
        if (model.ended) this.#over();
      },
      live: (live) => {
        model.takeLive(live);
        this.#took(true);
        if (model.ended) this.#over();
      },
    };
    this.#stream = stream(`/bunraku/v1/jobs/${this.id}/events?start=${model.lastSeen + 1}`, { handlers, onState: (state) => this.#connection(state) });
  }

  #silence() {
    this.#stream?.close();
    this.#stream = null;
  }

  /** The job is over: what it says of itself then, and whether our counts are its counts, is read once more. */
  #over() {
    if (this.ending) return;
    this.ending = true;
    this.#silence();
    this.#readAgain();
  }

  async #readAgain() {
    if (this.#reading || this.#left) return;
    clearTimeout(this.again);
    this.#reading = true;
    this.#lost = false;
    this.#silence();
    try {
      const grid = await get(`/bunraku/v1/jobs/${this.id}/grid`);
      if (this.#left) return;
      this.#pause.reset();
      this.#model.load(grid);
      this.#say("");
      this.#draw(true);
      this.#listen();
      if (this.panel.name() !== null) this.panel.changed(this.panel.name());
    } catch (error) {
      if (this.#left) return;
      if (isFinal(error)) return this.#give(error);
      this.#say(error instanceof ApiError ? error.message : "The service cannot be reached. This page goes on when it is back.");
      this.again = setTimeout(() => this.#readAgain(), this.#pause.next());
    } finally {
      this.#reading = false;
    }
  }

  /** The job or the right to see it is gone: nothing on the page is true any more. */
  #give(error) {
    this.leave();
    this.title("Trouble");
    this.element.replaceWith(h("h1", {}, `Job ${this.id}`), errorBox(error, () => location.reload()));
  }

  /**
   * That a connection is lost is said by the frame of all pages. One that will not come back means that the job is over; and
   * after one that was away for longer, the service may be another one, with an older record.
   */
  #connection(state) {
    if (this.#left) return;
    if (state === "over") this.#over();
    else if (state === "lost") this.#lost = true;
    else if (this.#lost) this.#readAgain();
  }

  #say(words) {
    if (this.line.textContent !== words) this.line.textContent = words;
    this.line.hidden = words === "";
  }

  #took(changed) {
    if (this.#model.strangers > 0 || this.#doubtful()) this.#readAgain();
    else if (changed && this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw(false));
  }

  #doubtful() {
    if (!this.#model.setBack || performance.now() < this.#doubted + DOUBT_EVERY) return false;
    this.#doubted = performance.now();
    return true;
  }

  /** Draws the nodes that changed, once per frame. */
  #draw(all) {
    this.#frame = 0;
    const model = this.#model;
    const changed = model.takeDirty();
    const open = isOpen(this.#filter);
    if (all || (!open && changed.length > 0)) this.#choose(all);
    if (this.#shape === "grid") this.grid.update(changed);
    else this.table.update(changed);
    for (const at of changed) if (model.names[at] === this.panel.name()) this.panel.changed(model.names[at]);
    const wait = this.#written + WRITE_EVERY - performance.now();
    if (all || wait <= 0) this.#write(all);
    else this.writer ??= setTimeout(() => this.#write(false), wait);
  }

  /** Writes the figures: nobody reads them sixty times a second. */
  #write(all) {
    clearTimeout(this.writer);
    this.writer = null;
    this.#written = performance.now();
    const model = this.#model;
    this.head.update(model);
    this.actions.update();
    this.summary.update();
    this.legend.update(this.#filter.states);
    this.failures.update();
    this.timeline.update();
    this.bar.update(model, this.#filter, this.#shape, this.#shown.length);
    this.title(model.ended ? titleOf(model.job) : `${model.percent} % · ${titleOf(model.job)}`);
    if (all) this.#tell();
  }

  /** Which nodes are shown; where that stays the same, nothing moves. */
  #choose(all) {
    const found = matching(this.#model, this.#filter);
    const places = this.#shape === "table" ? ordered(this.#model, found, this.#order.by, this.#order.descending, this.#model.clock(Date.now())) : found;
    const same = this.#shown?.length === places.length && places.every((at, place) => at === this.#shown[place]);
    if (same && !all) return;
    this.#shown = places;
    this.grid.element.hidden = this.#shape !== "grid";
    this.table.element.hidden = this.#shape !== "table";
    if (this.#shape === "grid") this.grid.show(places);
    else this.table.show(places);
  }

  #tick() {
    if (document.hidden || this.#model.ended) return;
    this.summary.tick();
    this.timeline.update();
    if (this.#shape === "table") this.table.tick();
  }

  #toggle(name) {
    const { states } = this.#filter;
    if (!states.delete(name)) states.add(name);
    this.#narrow({});
  }

  #narrow(change) {
    Object.assign(this.#filter, change);
    setQuery(queryOf(this.#filter));
    this.#draw(true);
  }

  #look(shape) {
    this.#shape = shape;
    setQuery({ view: shape === "table" ? "table" : null });
    this.#draw(true);
  }

  #sort(by, descending) {
    this.#order = { by, descending };
    this.table.sortedBy(by, descending);
    this.#draw(true);
  }

  #open(name) {
    this.opener = document.activeElement;
    setQuery({ node: name }, { push: true });
    this.panel.open(name);
    this.#beside(true);
    const at = this.#model.index.get(name);
    if (at !== undefined) this.grid.activate(at);
    this.#tell();
  }

  #close() {
    this.panel.hide();
    this.#beside(false);
    setQuery({ node: null });
    this.#tell();
    if (this.opener?.isConnected) this.opener.focus();
  }

  /** A panel over the page takes all of it; one beside it leaves it alone. */
  #beside(open) {
    this.element.classList.toggle("with-panel", open);
    const over = open && !matchMedia(ROOM_BESIDE).matches;
    for (const part of this.element.children) if (part !== this.panel.element) part.inert = over;
  }

  async #base() {
    this.base = await apiBase();
    if (!this.#left) this.#tell();
  }

  /** The API call for what is on the screen. */
  #tell() {
    const text = curlFor(this.base, this.id, this.#filter, this.panel.name());
    if (this.told === text) return;
    this.told = text;
    this.call.replaceChildren(copyable(text));
  }

  /** Links to nodes of this job open the panel; the page stays. */
  #follow(event) {
    const anchor = event.target.closest?.("a[href]");
    if (!anchor || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const url = new URL(anchor.href);
    const name = url.searchParams.get("node");
    if (url.pathname !== `/jobs/${this.id}` || name === null) return;
    event.preventDefault();
    event.stopPropagation();
    this.#open(name);
  }
}

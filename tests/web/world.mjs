// A whole world for the browser: the real service with its own CA, real agents with a Puppet that obeys files, users.
//
// It listens on a loopback address of its own, so nothing takes its ports while the service is down. Everything lies in a
// throw-away directory, and every process is a child of this one.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import https from "node:https";
import os from "node:os";
import path from "node:path";

const SITE = path.join(import.meta.dirname, "site");
/** How long anything may take that must happen: a broken test ends, a slow machine does not break one. */
export const PATIENCE = 120_000;
const LOOK_AGAIN = 50;

/** Who there is beside the admin's token. */
export const USERS = {
  admin: { login: "ada", password: "ada's long secret", role: "admin" },
  viewer: { login: "vic", password: "vic's long secret", role: "viewer" },
};

/** The binary under test. */
export const BINARY = process.env.BUNRAKU_BIN && path.resolve(process.env.BUNRAKU_BIN);

/** Waits until the condition gives something true, and returns that. */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
  }
}

/** Service, agents and users of a test. */
export class World {
  /**
   * Makes one and starts it.
   * @param {{nodes?: string[], agents?: boolean, settings?: Record<string, string>}} [options]
   */
  static async start({ nodes = ["db1.test", "web1.test", "web2.test", "web3.test"], settings = {} } = {}) {
    assert.ok(BINARY, "BUNRAKU_BIN names the binary under test");
    const world = new World();
    world.dir = fs.mkdtempSync(path.join(os.tmpdir(), "bunraku-web-"));
    world.server = path.join(world.dir, "server");
    world.host = `127.${1 + (process.pid % 250)}.${1 + Math.floor(process.pid / 250) % 250}.${1 + Math.floor(Math.random() * 250)}`;
    world.url = `https://${world.host}:8143`;
    world.settings = settings;
    world.children = new Set();
    world.run("init", world.server, "--name", world.host);
    world.token = fs.readFileSync(path.join(world.server, "token"), "utf8").trim();
    world.agent = new https.Agent({ ca: fs.readFileSync(path.join(world.server, "ssl/ca.pem")), keepAlive: false });
    world.nodes = nodes;
    try {
      world.#writeCode();
      world.service = await world.serve();
      for (const { login, password } of Object.values(USERS)) await world.post("/bunraku/v1/users", { login, password }, 201);
      for (const name of nodes) world.#startAgent(name);
      await world.connected(nodes.length);
    } catch (error) {
      const logs = ["serve", ...nodes].map((name) => `${name}:\n${world.log(name)}`).join("\n");
      await world.end();
      throw new Error(`the world did not start\n${logs}`, { cause: error });
    }
    return world;
  }

  /** Waits until so many nodes are connected. */
  async connected(count) {
    await until(`${count} nodes are connected`, async () => {
      const inventory = await this.get("/orchestrator/v1/inventory");
      return inventory.items.length === count;
    });
  }

  /** Runs the program to its end. */
  run(...args) {
    return execFileSync(BINARY, args, { env: environment(), encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Starts the service and waits until it takes commands. */
  async serve() {
    const settings = {
      BUNRAKU_SERVER__LISTEN: `${this.host}:8143`,
      BUNRAKU_BROKER__LISTEN: `${this.host}:8142`,
      BUNRAKU_BROKER__SETTLE_TIME: "5s",
      BUNRAKU_LIMITS__CONNECT_TIMEOUT: "2s",
      BUNRAKU_LOG__LEVEL: "warn",
      ...this.settings,
    };
    const service = this.#spawn("serve", ["serve", "--config", path.join(this.server, "bunraku.yaml")], settings);
    await until("the service is ready", async () => {
      if (service.exitCode !== null) throw new Error(`the service ended:\n${this.log("serve")}`);
      return (await this.#ask("GET", "/readyz").catch(() => null))?.status === 200;
    });
    return service;
  }

  /** `kill -9` of the service. */
  async kill() {
    await ended(this.service, "SIGKILL");
  }

  /** Starts it again. */
  async comeBack() {
    this.service = await this.serve();
  }

  /** Holds the Puppet runs of nodes, or lets them go. */
  hold(...names) {
    for (const name of names) fs.writeFileSync(this.node(name, "hold"), "");
  }

  release(...names) {
    for (const name of names.length > 0 ? names : this.nodes) fs.rmSync(this.node(name, "hold"), { force: true });
  }

  /** Lets the Puppet runs of nodes fail, or succeed again. */
  failing(...names) {
    for (const name of this.nodes) fs.rmSync(this.node(name, "failing"), { force: true });
    for (const name of names) fs.writeFileSync(this.node(name, "failing"), "");
  }

  /** Between two tests: nothing is held, nothing fails, no job goes on. */
  async calm() {
    this.release();
    this.failing();
    await until("no job goes on", async () => {
      const { items } = await this.get("/orchestrator/v1/jobs");
      return items.every((job) => job.finished_timestamp !== null);
    });
  }

  /** A file of a node. */
  node(name, file) {
    return path.join(this.dir, "nodes", name, file);
  }

  async get(target) {
    const answer = await this.#ask("GET", target);
    assert.equal(answer.status, 200, `GET ${target}: ${answer.body}`);
    return JSON.parse(answer.body);
  }

  async post(target, body, status = 202) {
    const answer = await this.#ask("POST", target, body);
    assert.equal(answer.status, status, `POST ${target}: ${answer.body}`);
    return JSON.parse(answer.body);
  }

  /** Deploys and returns the job's number. */
  async deploy(nodes = this.nodes, more = {}) {
    const made = await this.post("/orchestrator/v1/command/deploy", { environment: "production", scope: { nodes }, ...more });
    return made.job.name;
  }

  /** The job, once it is over. */
  over(job) {
    return until(`job ${job} is over`, async () => {
      const shown = await this.get(`/orchestrator/v1/jobs/${job}`);
      return shown.finished_timestamp ? shown : null;
    });
  }

  /** The job, once so many nodes have a state. */
  inState(job, state, count) {
    return until(`${count} nodes of job ${job} are ${state}`, async () => {
      const shown = await this.get(`/orchestrator/v1/jobs/${job}`);
      return shown.node_states[state] === count ? shown : null;
    });
  }

  /** Connects so many simulated nodes, with the options of `bunraku swarm`. */
  async swarm(count, ...options) {
    this.#spawn("swarm", ["swarm", "--dir", this.server, "--broker", `${this.host}:8142`, "--nodes", String(count), ...options], {}, false);
    await this.connected(count);
  }

  /** What a process has said; "" when it never began. */
  log(name) {
    const file = path.join(this.dir, `${name}.log`);
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  }

  /** Ends every process and removes the directory. */
  async end() {
    this.agent?.destroy();
    if (this.nodes) this.release();
    await Promise.all([...this.children].map((child) => ended(child, "SIGKILL")));
    fs.rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  #writeCode() {
    const tasks = path.join(this.server, "modules/site/tasks");
    fs.mkdirSync(tasks, { recursive: true });
    for (const file of ["greet.sh", "greet.json"]) fs.copyFileSync(path.join(SITE, file), path.join(tasks, file));
    const [first, ...others] = this.nodes;
    const component = (type, title, node, key, value) => ({ type, title, node, [key]: [value] });
    const components = [
      component("Shop::Db", "db", first, "produces", "Sql[shop]"),
      ...others.map((node, at) => component("Shop::Web", `web${at + 1}`, node, "consumes", "Sql[shop]")),
    ];
    const applications = first === undefined ? [] : [{ type: "Shop", instances: [{ title: "eu", components }] }];
    const environment = { nodes: this.nodes, applications };
    fs.writeFileSync(path.join(this.server, "environments/production.yaml"), JSON.stringify(environment));
    const bindings = Object.values(USERS).map(({ login, role }) => ({ role, logins: [login] }));
    fs.writeFileSync(path.join(this.server, "access.yaml"), JSON.stringify({ bindings }));
  }

  #startAgent(name) {
    const at = (file) => this.node(name, file);
    for (const part of ["confdir", "vardir"]) fs.mkdirSync(at(part), { recursive: true });
    this.run("ca", "issue", name, "--dir", this.server, "--out", at("ssl"));
    fs.writeFileSync(at("site.pp"), "");
    const config = {
      broker_uris: [`wss://${this.host}:8142/pcp2/`],
      primary_uris: [this.url],
      ssl: { cert: at("ssl/cert.pem"), key: at("ssl/key.pem"), ca: at("ssl/ca.pem") },
      spool_dir: at("spool"),
      task_cache_dir: at("cache"),
      reconnect_max: "300ms",
      puppet: { mode: "apply", command: path.join(SITE, "puppet.sh"), confdir: at("confdir"), vardir: at("vardir"), manifest: at("site.pp") },
    };
    fs.writeFileSync(at("agent.yaml"), JSON.stringify(config));
    this.#spawn(name, ["agent", "--config", at("agent.yaml")]);
  }

  #spawn(name, args, settings = {}, ends = true) {
    const log = fs.openSync(path.join(this.dir, `${name}.log`), "a");
    // Service and agents end with the pipe at their standard input, so none outlives the tests.
    const all = ends ? [...args, "--end-with-stdin"] : args;
    const env = { ...environment(), ...settings };
    const child = spawn(BINARY, all, { env, stdio: ["pipe", log, log] });
    fs.closeSync(log);
    this.children.add(child);
    child.once("exit", () => this.children.delete(child));
    return child;
  }

  #ask(method, target, body) {
    return new Promise((resolve, reject) => {
      const headers = { "X-Authentication": this.token, "Content-Type": "application/json" };
      const request = https.request(`${this.url}${target}`, { method, agent: this.agent, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part) => (text += part));
        response.on("end", () => resolve({ status: response.statusCode, body: text }));
        response.on("error", reject);
      });
      request.on("error", reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** What the caller's environment says about other services is not meant for this one. */
function environment() {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("BUNRAKU_"));
  return { ...Object.fromEntries(own), NO_COLOR: "1" };
}

/** Ends a child and waits for it. */
function ended(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", resolve);
    child.kill(signal);
  });
}

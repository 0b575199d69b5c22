// Two tabs have one session: what one does with it, the other knows. And where a shell finds the API.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

const visited = [];
const channels = [];
globalThis.document = { addEventListener() {}, querySelectorAll: () => [] };
globalThis.window = { addEventListener() {}, scrollY: 0 };
globalThis.location = { pathname: "/nodes", search: "" };
const go = (_state, _title, url) => url && visited.push(url);
globalThis.history = { replaceState: go, pushState: go };
globalThis.BroadcastChannel = class {
  constructor(name) {
    Object.assign(this, { name, sent: [] });
    channels.push(this);
  }

  postMessage(data) {
    this.sent.push(data);
  }
};
let answer;
let asked = 0;
globalThis.fetch = async () => {
  asked += 1;
  const [status, body] = answer;
  return { ok: status < 400, status, text: async () => JSON.stringify(body) };
};

const { apiBase, hearOthers, logIn, logOut, session } = await import("../../../src/web/assets/js/api.js");
let reloads = 0;
hearOthers(() => (reloads += 1));
const [channel] = channels;
const ADA = { login: "ada", token_id: "1", permissions: [] };

beforeEach(() => {
  visited.length = 0;
  channel.sent.length = 0;
  reloads = 0;
  asked = 0;
  session.set(ADA);
});

test("a login and a logout are told to the other tabs", async () => {
  assert.equal(channel.name, "bunraku");
  answer = [200, ADA];
  await logIn({ token: "x" });
  assert.deepEqual(channel.sent, ["session"]);
  answer = [204, null];
  await logOut();
  assert.deepEqual(channel.sent, ["session", "session"]);
});

test("a refused login is told to nobody", async () => {
  answer = [401, { kind: "invalid-token", msg: "no", details: {} }];
  await assert.rejects(logIn({ token: "x" }));
  assert.deepEqual(channel.sent, []);
});

test("whoever is somebody else by now begins anew", async () => {
  answer = [200, ADA];
  await channel.onmessage({ data: "session" });
  assert.equal(reloads, 0, "the same session goes on");
  answer = [200, { ...ADA, token_id: "2" }];
  await channel.onmessage({ data: "session" });
  assert.equal(reloads, 1);
});

test("whoever is nobody by now goes to the login", async () => {
  answer = [401, { kind: "unauthorized", msg: "no", details: {} }];
  await channel.onmessage({ data: "session" });
  assert.equal(session.get(), null);
  assert.deepEqual(visited, ["/login?next=%2Fnodes"]);
  assert.equal(reloads, 0);
});

test("the login and a service that is away change nothing", async () => {
  answer = [503, {}];
  await channel.onmessage({ data: "session" });
  assert.equal(session.get(), ADA);
  session.set(null);
  asked = 0;
  await channel.onmessage({ data: "session" });
  assert.deepEqual([asked, reloads], [0, 0]);
});

test("calls for a shell name the service, also where the pages come from elsewhere", async () => {
  Object.assign(globalThis.location, { protocol: "https:", origin: "https://orch.test:8143" });
  assert.equal(await apiBase(), "https://orch.test:8143");
  assert.equal(asked, 0);
  Object.assign(globalThis.location, { protocol: "http:", origin: "http://127.0.0.1:8080" });
  answer = [503, {}];
  assert.equal(await apiBase(), "http://127.0.0.1:8080");
  answer = [200, { collections: [{ id: "https://orch.test:8143/orchestrator/v1/environments" }] }];
  assert.equal(await apiBase(), "https://orch.test:8143", "it is asked again after a failure");
  assert.equal(await apiBase(), "https://orch.test:8143");
  assert.equal(asked, 2, "and once is enough");
});

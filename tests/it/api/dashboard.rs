//! What the pages of the dashboard ask: sessions of browsers, grids, brief streams, the reasons for which nodes wait.

use bunraku::api::rights::Rules;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::world::World;

const SESSION: &str = "POST /bunraku/v1/session";

/// A request as a page of ours sends it.
fn of_page(client: &Client, method: &str, path: &str) -> reqwest::RequestBuilder {
    let request = client.request(method, &format!("/ui{path}"));
    let request = request.header("Sec-Fetch-Site", "same-origin").header("X-Bunraku-CSRF", "1");
    request.header("Content-Type", "application/json")
}

async fn log_in(client: &Client, body: &Value) -> Answer {
    Answer::of(of_page(client, "POST", "/bunraku/v1/session").body(body.to_string())).await
}

/// The cookie of an answer as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let given = answer.header("set-cookie");
    assert!(given.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"), "{given}");
    given.split(';').next().unwrap().to_owned()
}

#[actix_web::test]
async fn a_browser_gets_a_cookie_for_a_password_and_loses_it_with_the_log_out() {
    let world = World::empty().await;
    world.state.rules.store(Rules::parse("bindings: [{role: operator, logins: [alice]}]").unwrap().into());
    let alice = json!({ "login": "alice", "password": "correct horse", "display_name": "Alice" });
    assert_eq!(world.admin().post("/bunraku/v1/users", alice).await.status, 201);
    let nobody = world.nobody();
    log_in(&nobody, &json!({ "login": "alice", "password": "wrong" })).await.record(SESSION, "wrong-password");
    log_in(&nobody, &json!({ "token": "nonsense" })).await.record(SESSION, "wrong-token");
    let answer = log_in(&nobody, &json!({ "login": "alice", "password": "correct horse" })).await;
    let cookie = cookie(&answer);
    assert_eq!(answer.json()["login"], "alice");
    let ask =
        async |method: &str, path: &str| Answer::of(of_page(&nobody, method, path).header("Cookie", &cookie)).await;
    assert_eq!(ask("GET", "/orchestrator/v1/jobs").await.status, 200);
    assert_eq!(ask("GET", "/metrics").await.status, 404, "only the API is behind /ui");
    let elsewhere = nobody.request("GET", "/orchestrator/v1/jobs").header("Cookie", &cookie);
    assert_eq!(Answer::of(elsewhere).await.status, 401, "outside /ui a cookie means nothing");
    let out = ask("DELETE", "/bunraku/v1/session").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
    assert_eq!(ask("GET", "/orchestrator/v1/jobs").await.status, 401, "the token behind it is gone too");
}

#[actix_web::test]
async fn a_token_that_somebody_brought_outlives_the_log_out() {
    let world = World::empty().await;
    let nobody = world.nobody();
    let answer = log_in(&nobody, &json!({ "token": " viewer " })).await;
    let cookie = cookie(&answer);
    answer.record(SESSION, "by-token");
    let out = of_page(&nobody, "DELETE", "/bunraku/v1/session").header("Cookie", &cookie);
    assert_eq!(Answer::of(out).await.status, 204);
    assert_eq!(world.viewer().get("/orchestrator/v1/jobs").await.status, 200);
}

#[actix_web::test]
async fn what_is_not_sent_by_our_own_pages_is_refused() {
    let world = World::empty().await;
    let nobody = world.nobody();
    let cookie = cookie(&log_in(&nobody, &json!({ "token": "operator" })).await);
    let deploy = json!({ "environment": "production" }).to_string();
    let command = |with: &[(&str, &str)]| {
        let request = nobody.request("POST", "/ui/orchestrator/v1/command/deploy").header("Cookie", &cookie);
        let request = with.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request.body(deploy.clone()))
    };
    let (csrf, media) = (("X-Bunraku-CSRF", "1"), ("Content-Type", "application/json"));
    let refused: [(&str, &[(&str, &str)]); 6] = [
        ("X-Bunraku-CSRF", &[media]),
        ("Content-Type", &[csrf]),
        ("Content-Type", &[csrf, ("Content-Type", "text/plain")]),
        ("Origin", &[csrf, media, ("Origin", "https://evil.example.com")]),
        ("Origin", &[csrf, media, ("Sec-Fetch-Site", "cross-site")]),
        ("X-Authentication", &[csrf, media, ("X-Authentication", "operator")]),
    ];
    for (key, with) in refused {
        let answer = command(with).await;
        assert_eq!((answer.status, &answer.json()["details"]["key"]), (400, &json!(key)), "{with:?}: {}", answer.text);
    }
    let ours = format!("https://{}", reqwest::Url::parse(nobody.origin()).unwrap().authority());
    for origin in [ours.as_str(), "https://orch.example.com:8143"] {
        assert_eq!(command(&[csrf, media, ("Origin", origin)]).await.status, 202, "{origin}");
    }
    let outside = nobody.post("/bunraku/v1/session", json!({ "token": "viewer" })).await;
    outside.record(SESSION, "outside");
}

#[actix_web::test]
async fn a_certificate_is_not_enough_for_a_browser() {
    const RULES: &str = "
bindings: [{role: viewer, logins: [metrics]}]
certificates: [{name: metrics.example.com, login: metrics}]
";
    let world = World::empty().await;
    world.state.rules.store(Rules::parse(RULES).unwrap().into());
    let node = world.node("metrics.example.com");
    assert_eq!(node.get("/orchestrator/v1/jobs").await.status, 200);
    assert_eq!(node.get("/ui/orchestrator/v1/jobs").await.status, 401);
}

#[actix_web::test]
async fn pages_and_assets_are_in_the_binary() {
    let world = World::empty().await;
    let nobody = world.nobody();
    for page in ["/", "/login", "/jobs/7", "/run", "/nodes", "/nodes/a.example.com", "/schedules"] {
        let answer = Answer::of_page(nobody.request("GET", page)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{page}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
    }
    let page = Answer::of_page(nobody.request("GET", "/")).await.text;
    let asset = page.split('"').find(|part| part.ends_with("/js/main.js")).expect("the page loads its script");
    let script = Answer::of_page(nobody.request("GET", asset)).await;
    assert_eq!((script.status, script.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");
    let older = Answer::of_page(nobody.request("GET", "/assets/0000/js/main.js")).await;
    assert_eq!((older.status, older.header("cache-control")), (200, "no-store"));
    for beyond in
        ["/assets/0000/../../Cargo.toml", "/assets/0000/%2e%2e/mod.rs", "/assets/0000/index.html", "/assets/0/x"]
    {
        assert_eq!(Answer::of_page(nobody.request("GET", beyond)).await.status, 404, "{beyond}");
    }
}

#[actix_web::test]
async fn a_grid_has_all_nodes_in_columns() {
    const GRID: &str = "GET /bunraku/v1/jobs/{id}/grid";
    let world = World::seeded().await;
    let viewer = world.viewer();
    for job in ["1", "2", "3"] {
        viewer.get(&format!("/bunraku/v1/jobs/{job}/grid")).await.record(GRID, job);
    }
    viewer.get("/bunraku/v1/jobs/99/grid").await.record(GRID, "unknown");
}

#[actix_web::test]
async fn failures_are_grouped_by_what_they_have_in_common() {
    const FAILURES: &str = "GET /bunraku/v1/jobs/{id}/failures";
    let world = World::seeded().await;
    let viewer = world.viewer();
    for job in ["1", "3"] {
        viewer.get(&format!("/bunraku/v1/jobs/{job}/failures")).await.record(FAILURES, job);
    }
    viewer.get("/bunraku/v1/jobs/99/failures").await.record(FAILURES, "unknown");
}

#[actix_web::test]
async fn one_node_of_a_job_is_shown_whole() {
    const NODE: &str = "GET /bunraku/v1/jobs/{id}/nodes/{node}";
    let world = World::seeded().await;
    let viewer = world.viewer();
    let nodes = viewer.get("/orchestrator/v1/jobs/1/nodes").await.json();
    for node in nodes["items"].as_array().unwrap() {
        let (name, state) = (node["name"].as_str().unwrap(), node["state"].as_str().unwrap());
        viewer.get(&format!("/bunraku/v1/jobs/1/nodes/{name}")).await.record(NODE, state);
    }
    viewer.get("/bunraku/v1/jobs/1/nodes/stranger").await.record(NODE, "unknown");
    viewer.get("/bunraku/v1/jobs/99/nodes/a.example.com").await.record(NODE, "unknown-job");
}

#[actix_web::test]
async fn a_brief_stream_tells_events_and_the_live_state() {
    const EVENTS: &str = "GET /bunraku/v1/jobs/{id}/events";
    let world = World::seeded().await;
    let viewer = world.viewer();
    let stream = |path: &str| viewer.request("GET", path).header("Accept", "text/event-stream");
    let answer = Answer::of(stream("/bunraku/v1/jobs/3/events")).await;
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    answer.record(EVENTS, "over");
    let last = world.jobs().last_event(bunraku_actors::model::JobId(3)).await.unwrap();
    let resumed = stream("/bunraku/v1/jobs/3/events").header("Last-Event-ID", last.to_string());
    assert_eq!(Answer::of(resumed).await.status, 204, "nothing is left: a browser stays away");
    Answer::of(stream("/bunraku/v1/jobs/99/events")).await.record(EVENTS, "unknown");
    viewer.get("/bunraku/v1/jobs/3/events").await.record(EVENTS, "no-stream");
}

#[actix_web::test]
async fn changes_of_jobs_and_the_number_of_nodes_are_told() {
    const CHANGES: &str = "GET /bunraku/v1/jobs/changes";
    let world = World::empty().await;
    let mut stream = world
        .viewer()
        .request("GET", "/bunraku/v1/jobs/changes")
        .header("Accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    let mut until = async |wanted: &str| {
        while !text.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text.clone()
    };
    until("event: inventory").await;
    let body = json!({ "environment": "production", "scope": { "nodes": ["a.example.com"] } });
    assert_eq!(world.operator().post("/orchestrator/v1/command/deploy", body).await.status, 202);
    let told = until("event: job").await;
    let data = told.split("event: job\ndata: ").nth(1).unwrap().lines().next().unwrap();
    let job: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&job["name"], &job["type"]), (&json!("1"), &json!("deploy")));
    world.nobody().get("/bunraku/v1/jobs/changes").await.record(CHANGES, "nobody");
}

#[actix_web::test]
async fn known_nodes_have_their_last_run() {
    const NODES: &str = "GET /bunraku/v1/nodes";
    let world = World::seeded().await;
    world.viewer().get("/bunraku/v1/nodes?known=true").await.record(NODES, "known");
    world.viewer().get("/bunraku/v1/nodes?known=maybe").await.record(NODES, "bad");
}

#[actix_web::test]
async fn the_reason_for_which_a_node_waits_is_told() {
    const WHY: &str = "GET /bunraku/v1/nodes/{node}/why";
    let world = World::empty().await;
    let operator = world.operator();
    let deploy = json!({ "environment": "production", "scope": { "nodes": ["a.example.com", "away.example.com"] } });
    operator.post("/orchestrator/v1/command/deploy", deploy.clone()).await;
    world.until_running(1, 1).await;
    operator.post("/orchestrator/v1/command/deploy", deploy).await;
    let why = async |node: &str, reasons: usize| {
        // The jobs' actors come to it when they come to it.
        loop {
            let answer = operator.get(&format!("/bunraku/v1/nodes/{node}/why")).await;
            let told = answer.json()["reasons"].as_array().unwrap().clone();
            if told.len() == reasons && told.iter().all(|reason| reason["reason"] != "next") {
                return answer;
            }
        }
    };
    why("a.example.com", 2).await.record(WHY, "runs-and-waits-for-its-turn");
    why("away.example.com", 2).await.record(WHY, "not-connected");
    why("stranger.example.com", 0).await.record(WHY, "stranger");
    operator.get("/bunraku/v1/nodes/a%20b/why").await.record(WHY, "bad-name");
    let seeded = World::seeded().await;
    seeded.viewer().get("/bunraku/v1/nodes/a.example.com/why").await.record(WHY, "over");
}

#[actix_web::test]
async fn jobs_are_found_by_what_people_look_for() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    let found = async |query: &str| -> Vec<String> {
        let list = viewer.get(&format!("/orchestrator/v1/jobs?{query}")).await.json();
        list["items"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = found("order_by=name").await;
    assert_eq!(all, ["1", "2", "3"]);
    assert_eq!(found("state=stopped").await, ["3"]);
    assert_eq!(found("search=2&order_by=name").await, ["2"]);
    assert_eq!(found("search=PRODUCTION&order_by=name").await, found("environment=production&order_by=name").await);
    assert_eq!(found("search=ROLL%20out&order_by=name").await, all, "by what somebody wrote about it");
    assert_eq!(found("owner=nobody-has-this-name").await, Vec::<String>::new());
    assert_eq!(viewer.get("/orchestrator/v1/jobs?state=tired").await.status, 400);
    let short = viewer.get("/orchestrator/v1/jobs?short=true").await.json();
    assert_eq!(short["items"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn the_link_of_a_demo_works_once_and_for_one_browser() {
    let world = World::empty().await;
    let config = bunraku::tls::anonymous_client_config(&world.ca.ca()).unwrap();
    let to_service = reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap();
    let link = bunraku::web::loopback(world.nobody().origin(), to_service, &"operator".to_owned().into()).unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let base = link.split("/enter/").next().unwrap().to_owned();
    let get = |path: &str| browser.get(format!("{base}{path}"));
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(get("/ui/orchestrator/v1/jobs")).await, 401, "nobody has come by the link");
    assert_eq!(status(get("/enter/somewhere")).await, 403);
    assert_eq!(status(browser.head(&link)).await, 405, "a look at the link does not use it up");
    let entered = browser.get(&link).send().await.unwrap();
    assert_eq!((entered.status().as_u16(), &entered.headers()["location"]), (303, &"/".parse().unwrap()));
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(status(browser.get(&link)).await, 410, "it works once");
    let known = |path: &str| get(path).header("Cookie", &cookie);
    assert_eq!(
        known("/ui/bunraku/v1/whoami").send().await.unwrap().json::<Value>().await.unwrap()["login"],
        "operator"
    );
    assert_eq!(status(known("/ui/orchestrator/v1/jobs").header("Host", "evil.example.com")).await, 403);
    assert_eq!(status(known("/ui/orchestrator/v1/jobs").header("Origin", "http://evil.example.com")).await, 403);
    assert_eq!(status(known("/ui/orchestrator/v1/jobs").header("Sec-Fetch-Site", "cross-site")).await, 403);
    for beyond in ["/orchestrator/v1/jobs", "//orchestrator/v1/jobs", "/%6frchestrator/v1/jobs", "/metrics", "/livez"] {
        assert_eq!(status(known(&format!("{beyond}?token=operator"))).await, 404, "{beyond}");
    }
    let page = get("/").send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'; script-src"));
    let deploy = || browser.post(format!("{base}/ui/orchestrator/v1/command/deploy")).header("Cookie", &cookie);
    let body = json!({ "environment": "production" });
    assert_eq!(status(deploy().json(&body)).await, 400, "the service asks for its header");
    assert_eq!(status(deploy().json(&body).header("X-Bunraku-CSRF", "1")).await, 202);
    let out = browser.delete(format!("{base}/ui/bunraku/v1/session")).header("Cookie", &cookie);
    assert_eq!(status(out.header("X-Bunraku-CSRF", "1").header("Content-Type", "application/json")).await, 204);
    assert_eq!(status(known("/ui/bunraku/v1/whoami")).await, 401, "the session is over for good");
}

#[actix_web::test]
async fn a_stream_from_beyond_the_end_ends_with_its_job() {
    let world = World::empty().await;
    let operator = world.operator();
    let body = json!({ "environment": "production", "scope": { "nodes": ["away.example.com"] } });
    operator.post("/orchestrator/v1/command/deploy", body).await;
    let ask = |path: &str| operator.request("GET", path).header("Accept", "text/event-stream").send();
    let full = ask("/orchestrator/v1/jobs/1/events?start=1000000").await.unwrap();
    let brief = ask("/bunraku/v1/jobs/1/events?start=1000000").await.unwrap();
    operator.post("/orchestrator/v1/command/stop", json!({ "job": "1" })).await;
    assert_eq!(full.text().await.unwrap(), "");
    assert!(!brief.text().await.unwrap().contains("event: node"), "nothing lies beyond the end");
}

//! Users: made, changed, logged in and out.

use bunraku::api::rights::Rules;
use serde_json::{Value, json};

use super::client::Answer;
use super::seed::at;
use super::world::World;

const LOGIN: &str = "POST /rbac-api/v1/auth/token";
const CREATE: &str = "POST /bunraku/v1/users";
const CHANGE: &str = "PUT /bunraku/v1/users/{login}";
const PASSWORD: &str = "correct horse battery";

async fn alice(world: &World) {
    let rules = Rules::parse("bindings: [{role: operator, logins: [alice]}]").unwrap();
    world.state.rules.store(rules.into());
    let body = json!({ "login": "alice", "password": PASSWORD, "display_name": "Alice", "email": "alice@example.com" });
    world.admin().post("/bunraku/v1/users", body).await.record(CREATE, "created");
}

async fn log_in(world: &World, body: Value) -> Answer {
    world.nobody().post("/rbac-api/v1/auth/token", body).await
}

async fn token(world: &World, password: &str) -> String {
    let answer =
        log_in(world, json!({ "login": "alice", "password": password, "lifetime": "4h", "label": "laptop" })).await;
    answer.json()["token"].as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

#[actix_web::test]
async fn a_user_logs_in_works_and_logs_out() {
    let world = World::empty().await;
    alice(&world).await;
    let body = json!({ "login": "alice", "password": PASSWORD });
    log_in(&world, body).await.record(LOGIN, "ok");
    let text = token(&world, PASSWORD).await;
    let holder = world.holder(&text);
    holder.get("/bunraku/v1/whoami").await.record("GET /bunraku/v1/whoami", "session");
    let run = json!({ "environment": "production", "scope": { "nodes": ["a.example.com"] } });
    assert_eq!(holder.post("/orchestrator/v1/command/deploy", run).await.status, 202);
    world.admin().get("/bunraku/v1/users").await.record("GET /bunraku/v1/users", "one");
    world.clock.set(at(60 + 4 * 3_600));
    assert_eq!(holder.get("/bunraku/v1/whoami").await.json()["kind"], "puppetlabs.rbac/token-expired");
    world.clock.set(at(61));
    holder.delete("/bunraku/v1/session").await.record("DELETE /bunraku/v1/session", "out");
    assert_eq!(holder.get("/bunraku/v1/whoami").await.json()["kind"], "puppetlabs.rbac/token-revoked");
}

#[actix_web::test]
async fn a_wrong_login_and_a_wrong_password_look_alike() {
    let world = World::empty().await;
    alice(&world).await;
    let wrong = log_in(&world, json!({ "login": "alice", "password": "something else" })).await;
    wrong.record(LOGIN, "wrong-password");
    let nobody = log_in(&world, json!({ "login": "bob", "password": "something else" })).await;
    assert_eq!((wrong.status, &wrong.text), (nobody.status, &nobody.text));
    log_in(&world, json!({ "login": "alice" })).await.record(LOGIN, "no-password");
    let bad = json!({ "login": "alice", "password": PASSWORD, "lifetime": "soon" });
    log_in(&world, bad).await.record(LOGIN, "bad-lifetime");
}

#[actix_web::test]
async fn guessing_is_slowed_down() {
    let world = World::empty().await;
    let guess = async || log_in(&world, json!({ "login": "alice", "password": "guess" })).await;
    // All at once: one after the other they would be slow enough on a machine that is busy.
    let answers = futures_util::future::join_all((0..30).map(|_| guess())).await;
    let (refused, answered): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 429);
    assert!(answered.iter().all(|answer| answer.status == 401) && answered.len() >= 20, "{}", answered.len());
    refused.first().expect("thirty guesses at once are too many").record(LOGIN, "too-many");
}

#[actix_web::test]
async fn who_is_revoked_is_out_everywhere_and_stays_out() {
    let world = World::empty().await;
    alice(&world).await;
    let text = token(&world, PASSWORD).await;
    let admin = world.admin();
    admin.put("/bunraku/v1/users/alice", json!({ "revoked": true })).await.record(CHANGE, "revoked");
    let holder = world.holder(&text);
    holder.get("/orchestrator/v1/jobs").await.record("GET /orchestrator/v1/jobs", "revoked-user");
    log_in(&world, json!({ "login": "alice", "password": PASSWORD })).await.record(LOGIN, "revoked");
    assert_eq!(admin.put("/bunraku/v1/users/alice", json!({ "revoked": false })).await.status, 200);
    let old = holder.get("/orchestrator/v1/jobs").await;
    assert_eq!(old.json()["kind"], "puppetlabs.rbac/token-revoked", "old sessions do not come back");
    assert_eq!(log_in(&world, json!({ "login": "alice", "password": PASSWORD })).await.status, 200);
}

#[actix_web::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    const CHANGE_OWN: &str = "PUT /bunraku/v1/password";
    let world = World::empty().await;
    alice(&world).await;
    let holder = world.holder(&token(&world, PASSWORD).await);
    let wrong = json!({ "old": "not it at all", "new": "another password" });
    holder.put("/bunraku/v1/password", wrong).await.record(CHANGE_OWN, "wrong");
    let short = json!({ "old": PASSWORD, "new": "short" });
    holder.put("/bunraku/v1/password", short).await.record(CHANGE_OWN, "too-short");
    let good = json!({ "old": PASSWORD, "new": "another password" });
    holder.put("/bunraku/v1/password", good).await.record(CHANGE_OWN, "changed");
    assert_eq!(holder.get("/bunraku/v1/whoami").await.status, 401);
    assert_eq!(log_in(&world, json!({ "login": "alice", "password": PASSWORD })).await.status, 401);
    token(&world, "another password").await;
}

#[actix_web::test]
async fn what_a_user_cannot_be_is_refused() {
    let world = World::empty().await;
    alice(&world).await;
    let admin = world.admin();
    let create = async |body: Value| admin.post("/bunraku/v1/users", body).await;
    create(json!({ "login": "alice", "password": PASSWORD })).await.record(CREATE, "taken");
    create(json!({ "login": "b", "password": "short" })).await.record(CREATE, "short-password");
    create(json!({ "login": "a b", "password": PASSWORD })).await.record(CREATE, "bad-login");
    create(json!({ "login": "b", "password": PASSWORD, "roles": ["admin"] })).await.record(CREATE, "unknown-key");
    admin.put("/bunraku/v1/users/bob", json!({ "email": "b@example.com" })).await.record(CHANGE, "unknown");
    let everything = admin.get("/bunraku/v1/users").await.text;
    assert!(!everything.contains("argon2"), "no hash is ever shown");
}

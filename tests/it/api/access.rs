//! Who may call what: the table of routes against the routes themselves, and every refusal's words.

use bunraku::api::accounts::Role;
use bunraku::api::rights::Rules;
use bunraku::api::{Access, ENDPOINTS, Endpoint};

use super::client::Answer;
use super::world::World;

const JOBS: &str = "GET /orchestrator/v1/jobs";

/// A path that fits a route: variable parts are numbers, which all of them can be read as or refuse.
pub(crate) fn filled(endpoint: &Endpoint) -> String {
    let fill = |part: &'static str| match part {
        "{mount}" => "tasks",
        part if part.starts_with('{') => "1",
        part => part,
    };
    endpoint.path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

#[actix_web::test]
async fn tokens_that_do_not_hold_are_told_apart() {
    let world = World::empty().await;
    let path = "/orchestrator/v1/jobs";
    world.nobody().get(path).await.record(JOBS, "no-token");
    world.holder("made-up").get(path).await.record(JOBS, "unknown-token");
    world.holder("expired").get(path).await.record(JOBS, "expired-token");
    world.holder("revoked").get(path).await.record(JOBS, "revoked-token");
    world.holder("  ").get(path).await.record(JOBS, "no-token");
    assert_eq!(world.holder(" viewer ").get(path).await.status, 200, "white space around a token is no part of it");
}

#[actix_web::test]
async fn the_query_carries_a_token_for_get_alone() {
    let world = World::empty().await;
    let nobody = world.nobody();
    assert_eq!(nobody.get("/orchestrator/v1/jobs?token=viewer").await.status, 200);
    assert_eq!(nobody.get("/orchestrator/v1/jobs?token=wrong").await.status, 401);
    assert_eq!(nobody.get("/orchestrator/v1/jobs?token=").await.status, 401);
    let posted = nobody.post("/orchestrator/v1/inventory?token=viewer", serde_json::json!({ "nodes": [] })).await;
    assert_eq!(posted.status, 401);
    let wins = world.holder("expired").get("/orchestrator/v1/jobs?token=viewer").await;
    assert_eq!(wins.status, 401, "the header wins over the query");
}

#[actix_web::test]
async fn every_route_refuses_whom_its_table_says() {
    let world = World::empty().await;
    for endpoint in ENDPOINTS {
        let path = filled(endpoint);
        let ask = async |token: Option<&str>| {
            let client = token.map_or_else(|| world.nobody(), |token| world.holder(token));
            Answer::of(client.request(endpoint.method, &path)).await.status
        };
        let shown = format!("{} {path}", endpoint.method);
        match endpoint.access {
            Access::Token(needed) => {
                assert_eq!(ask(None).await, 401, "{shown}");
                for role in Role::ALL {
                    let permitted = Rules::default().rights(&[role.into()]).may(needed);
                    assert_eq!(ask(Some(role.name())).await != 403, permitted, "{shown} as {}", role.name());
                }
            }
            Access::Acting => {
                assert_eq!(ask(None).await, 401, "{shown}");
                assert_eq!(ask(Some("viewer")).await, 403, "{shown}");
                assert_ne!(ask(Some("operator")).await, 403, "{shown}");
            }
            Access::Known => {
                assert_eq!(ask(None).await, 401, "{shown}");
                assert_ne!(ask(Some("second")).await, 403, "{shown}");
            }
            Access::Node => assert_eq!(ask(Some("admin")).await, 403, "{shown}: a token is no certificate"),
            Access::Open | Access::Local => assert!(![401, 403].contains(&ask(None).await), "{shown}"),
        }
    }
}

#[actix_web::test]
async fn tokens_that_do_not_hold_open_no_route() {
    let world = World::empty().await;
    let kinds = [
        ("made-up", "puppetlabs.rbac/invalid-token"),
        ("expired", "puppetlabs.rbac/token-expired"),
        ("revoked", "puppetlabs.rbac/token-revoked"),
    ];
    for endpoint in ENDPOINTS {
        if !matches!(endpoint.access, Access::Token(_) | Access::Acting | Access::Known) {
            continue;
        }
        for (token, kind) in kinds {
            let answer = Answer::of(world.holder(token).request(endpoint.method, &filled(endpoint))).await;
            let shown = format!("{} {} with the {token} token", endpoint.method, endpoint.path);
            assert_eq!((answer.status, answer.json()["kind"].clone()), (401, kind.into()), "{shown}");
        }
    }
}

#[actix_web::test]
async fn a_role_that_does_not_suffice_is_named() {
    let world = World::empty().await;
    let body = serde_json::json!({ "environment": "production" });
    let answer = world.viewer().post("/orchestrator/v1/command/deploy", body).await;
    answer.record("POST /orchestrator/v1/command/deploy", "viewer");
    world.operator().get("/bunraku/v1/tokens").await.record("GET /bunraku/v1/tokens", "operator");
}

#[actix_web::test]
async fn unknown_routes_and_methods_answer_in_json() {
    let world = World::empty().await;
    let viewer = world.viewer();
    viewer.get("/orchestrator/v1/unicorns").await.record("any", "unknown-route");
    viewer.delete("/orchestrator/v1/jobs").await.record("any", "wrong-method");
    for endpoint in ENDPOINTS {
        let answer = Answer::of(viewer.request("PATCH", &filled(endpoint))).await;
        assert_eq!((answer.status, answer.header("content-type")), (405, "application/json; charset=utf-8"));
        assert!(answer.header("allow").contains(endpoint.method), "{}", endpoint.path);
    }
}

#[actix_web::test]
async fn a_trailing_slash_changes_nothing() {
    let world = World::seeded().await;
    let admin = world.admin();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.method == "GET") {
        let path = filled(endpoint);
        let (plain, slashed) = (admin.get(&path).await, admin.get(&format!("{path}/")).await);
        assert_eq!(plain.status, slashed.status, "{path}");
    }
}

#[actix_web::test]
async fn requests_have_an_id() {
    let world = World::empty().await;
    let given = world.viewer().request("GET", "/livez").header("X-Request-Id", "deploy-17");
    assert_eq!(Answer::of(given).await.header("x-request-id"), "deploy-17");
    let odd = world.viewer().request("GET", "/livez").header("X-Request-Id", "two words");
    assert!(uuid::Uuid::parse_str(Answer::of(odd).await.header("x-request-id")).is_ok());
    let refused = world.nobody().get("/orchestrator/v1/jobs").await;
    assert!(uuid::Uuid::parse_str(refused.header("x-request-id")).is_ok());
}

//! Tokens: created, listed, used, revoked.

use bunraku::api::accounts::{Accounts, TokenHash};
use serde_json::json;

use super::world::World;

const LIST: &str = "GET /bunraku/v1/tokens";
const CREATE: &str = "POST /bunraku/v1/tokens";
const REVOKE: &str = "DELETE /bunraku/v1/tokens/{id}";

#[actix_web::test]
async fn a_token_is_shown_once_and_works_until_revoked() {
    let world = World::empty().await;
    let admin = world.admin();
    let body = json!({ "login": "ci", "role": "operator", "lifetime": "30d", "description": "pipeline" });
    let created = admin.post("/bunraku/v1/tokens", body).await;
    created.record(CREATE, "created");
    let text = created.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(text.len(), 43, "256 bits in URL-safe base64 without padding");
    let holder = world.holder(&text);
    holder.get("/bunraku/v1/whoami").await.record("GET /bunraku/v1/whoami", "created");

    let list = admin.get("/bunraku/v1/tokens").await;
    list.record(LIST, "all");
    assert!(!list.text.contains(&text));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/bunraku/v1/tokens/{id}");
    admin.delete(&path).await.record(REVOKE, "revoked");
    assert_eq!(admin.delete(&path).await.status, 204, "revoking is idempotent");
    assert_eq!(holder.get("/bunraku/v1/whoami").await.status, 401);
    assert!(world.store.token(TokenHash::of(&text)).await.unwrap().unwrap().revoked_at.is_some());
}

#[actix_web::test]
async fn wrong_requests_about_tokens_are_named() {
    let world = World::empty().await;
    let admin = world.admin();
    admin.post("/bunraku/v1/tokens", json!({})).await.record(CREATE, "no-login");
    admin.post("/bunraku/v1/tokens", json!({ "login": "ci", "role": "god" })).await.record(CREATE, "bad-role");
    let body = json!({ "login": "ci", "role": "viewer", "lifetime": "soon" });
    admin.post("/bunraku/v1/tokens", body).await.record(CREATE, "bad-lifetime");
    admin.delete("/bunraku/v1/tokens/5").await.record(REVOKE, "no-uuid");
    let unknown = "/bunraku/v1/tokens/00000000-0000-0000-0000-000000000000";
    admin.delete(unknown).await.record(REVOKE, "unknown");
}

//! Bodies: their size, their content type, their errors.

use super::client::Answer;
use super::world::World;

const STOP: &str = "POST /orchestrator/v1/command/stop";

#[actix_web::test]
async fn bodies_beyond_the_limit_are_refused() {
    let world = World::with(|options| options.body_limit = 100).await;
    let request = world.operator().request("POST", "/orchestrator/v1/command/stop").body("x".repeat(101));
    Answer::of(request).await.record(STOP, "too-large");
}

#[actix_web::test]
async fn the_content_type_does_not_matter() {
    let world = World::empty().await;
    for kind in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        let request = world.operator().request("POST", "/orchestrator/v1/command/stop").header("Content-Type", kind);
        let answer = Answer::of(request.body(r#"{"job": "x"}"#)).await;
        assert_eq!(answer.json()["details"]["key"], "job", "{kind}");
    }
}

#[actix_web::test]
async fn errors_of_bodies_tell_what_is_wrong() {
    let world = World::empty().await;
    let operator = world.operator();
    let post = async |body: &'static str| {
        Answer::of(operator.request("POST", "/orchestrator/v1/command/stop").body(body)).await
    };
    post("").await.record(STOP, "no-body");
    post("{\n  \"job\": }").await.record(STOP, "malformed");
    post("[]").await.record(STOP, "no-object");
    post(r#"{"job": true}"#).await.record(STOP, "wrong-type");
    post(r#"{"job": "12a"}"#).await.record(STOP, "no-number");
}

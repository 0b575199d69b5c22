//! Events of a job, as a document and as a stream.

use std::sync::Arc;
use std::time::Duration;

use bunraku::api::accounts::{Accounts, NewToken, TokenHash};
use bunraku::api::rights::Rules;
use bunraku_actors::model::{JobId, JobState, NodeIndex, StopMode};
use bunraku_actors::ports::{JobStore, Write};
use tokio::time::timeout;

use super::client::Answer;
use super::seed::{self, at};
use super::world::World;

const EVENTS: &str = "GET /orchestrator/v1/jobs/{id}/events";
/// Far beyond what any step takes: a test that reaches it has hung.
const HUNG: Duration = Duration::from_secs(60);

#[actix_web::test]
async fn documents_tell_where_to_go_on() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    let path = "/orchestrator/v1/jobs/1/events";
    let all = viewer.get(path).await;
    all.record(EVENTS, "deploy");
    viewer.get("/orchestrator/v1/jobs/2/events").await.record(EVENTS, "task");
    let next = all.json()["next-events"]["event"].as_str().unwrap().to_owned();
    let rest = viewer.get(&format!("{path}?start={next}")).await.json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next-events"]["event"]), (0, &next.as_str().into()));
    viewer.get(&format!("{path}?start=9000")).await.record(EVENTS, "beyond-the-end");
    viewer.get(&format!("{path}?start=soon")).await.record(EVENTS, "bad-start");
    viewer.get("/orchestrator/v1/jobs/99/events").await.record(EVENTS, "unknown");
    let fifth = all.json()["items"][4]["id"].as_str().unwrap().to_owned();
    let from_fifth = viewer.get(&format!("{path}?start={fifth}")).await.json();
    assert_eq!(from_fifth["items"].as_array().unwrap()[..], all.json()["items"].as_array().unwrap()[4..]);
}

#[actix_web::test]
async fn a_job_without_events_begins_at_one() {
    let world = World::empty().await;
    let spec = Arc::new(seed::deploy(&["a.example.com"], 0));
    seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    world.viewer().get("/orchestrator/v1/jobs/1/events").await.record(EVENTS, "none-yet");
}

async fn stream(world: &World, path: &str, last_event_id: Option<&str>) -> Answer {
    let mut request = world.viewer().request("GET", path).header("Accept", "text/event-stream");
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    timeout(HUNG, Answer::of(request)).await.unwrap()
}

fn ids(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("id: ")).collect()
}

#[actix_web::test]
async fn the_accept_header_decides_by_quality() {
    let world = World::seeded().await;
    for (accept, streamed) in [
        ("text/event-stream", true),
        ("TEXT/EVENT-STREAM; charset=utf-8", true),
        ("application/json, text/event-stream", true),
        ("text/event-stream;q=0.5, application/json;q=0.4, */*", true),
        ("text/event-stream;q=0.5, application/json", false),
        ("text/event-stream;q=0", false),
        ("*/*", false),
        ("application/json", false),
        ("no media type", false),
    ] {
        let request = world.viewer().request("GET", "/orchestrator/v1/jobs/2/events").header("Accept", accept);
        let answer = Answer::of(request).await;
        assert_eq!(answer.text.starts_with("id: "), streamed, "{accept}: {}", answer.text);
    }
}

#[actix_web::test]
async fn a_stream_brings_large_details_whole() {
    let world = World::empty().await;
    let spec = Arc::new(seed::deploy(&["a.example.com"], 0));
    let job = seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    let request = world.viewer().request("GET", "/orchestrator/v1/jobs/1/events").header("Accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    world.store.append(vec![seed::started(&spec, job, 0, 1)]).await.unwrap();
    let mut end = ended(job);
    let output = "y".repeat(300_000);
    if let Write::NodeEnded { end, .. } = &mut end {
        Arc::make_mut(end).result = serde_json::json!({ "_output": output });
    }
    world.store.append(vec![end, Write::JobEnded { job, state: JobState::Finished, at: at(3) }]).await.unwrap();
    let mut seen = String::new();
    while let Some(chunk) = timeout(HUNG, response.chunk()).await.unwrap().unwrap() {
        seen.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert_eq!(ids(&seen).len(), 3);
    assert!(seen.contains(&output), "the detail that the feed left out came from the store");
}

#[actix_web::test]
async fn streams_of_jobs_that_are_over_end() {
    let world = World::seeded().await;
    let whole = stream(&world, "/orchestrator/v1/jobs/2/events", None).await;
    whole.record(EVENTS, "stream");
    let numbers = ids(&whole.text);
    let resumed = stream(&world, "/orchestrator/v1/jobs/2/events?start=1", Some(numbers[1])).await;
    assert_eq!(ids(&resumed.text), numbers[2..], "Last-Event-ID wins over start");
    let from = stream(&world, &format!("/orchestrator/v1/jobs/2/events?start={}", numbers[3]), None).await;
    assert_eq!(ids(&from.text), numbers[3..]);
    let nothing = stream(&world, "/orchestrator/v1/jobs/2/events", numbers.last().copied()).await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    assert_eq!(stream(&world, "/orchestrator/v1/jobs/2/events", Some("x")).await.status, 400);
}

#[actix_web::test]
async fn streams_follow_a_job_to_its_end() {
    let world = World::empty().await;
    let spec = Arc::new(seed::deploy(&["a.example.com"], 0));
    let job = seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    let other = seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    let request = world.viewer().request("GET", "/orchestrator/v1/jobs/1/events").header("Accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    let mut seen = String::new();
    // Each step waits for the event of the one before: they come one by one, as they are committed.
    for (write, kind) in [
        (seed::started(&spec, job, 0, 1), "node_running"),
        (Write::StopAccepted { job, mode: StopMode::Plain, at: at(2) }, "job_stopping"),
        (ended(job), "node_finished"),
        (Write::JobEnded { job, state: JobState::Stopped, at: at(3) }, "job_finished"),
    ] {
        world.store.append(vec![Write::StopAccepted { job: other, mode: StopMode::Plain, at: at(2) }]).await.unwrap();
        world.store.append(vec![write]).await.unwrap();
        while !seen.contains(kind) {
            let chunk = timeout(HUNG, response.chunk()).await.unwrap().unwrap().expect("the stream goes on");
            seen.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
    assert_eq!(timeout(HUNG, response.chunk()).await.unwrap().unwrap(), None, "the stream ends with the job");
    assert_eq!(ids(&seen).len(), 4, "no event of another job, none twice: {seen}");
}

fn ended(job: JobId) -> Write {
    let end = bunraku_actors::model::NodeEnd {
        state: bunraku_actors::model::NodeState::Finished,
        cause: None,
        message: "done".into(),
        result: serde_json::json!({}),
        details: serde_json::json!({}),
        transaction_uuid: None,
        resource_events: Vec::new(),
    };
    Write::NodeEnded { job, node: NodeIndex(0), at: at(2), end: Arc::new(end), hold: None }
}

#[actix_web::test]
async fn silent_streams_send_comments_and_end_with_their_token() {
    let world = World::with(|options| {
        options.sse_comment = Duration::from_millis(20);
        options.sse_recheck = Duration::from_millis(50);
    })
    .await;
    let spec = Arc::new(seed::deploy(&["a.example.com"], 0));
    seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    let holder = world.holder("second");
    let request = holder.request("GET", "/orchestrator/v1/jobs/1/events").header("Accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    let comment = timeout(HUNG, response.chunk()).await.unwrap().unwrap().unwrap();
    assert!(comment.starts_with(b":"), "{comment:?}");
    let tokens = world.store.tokens().await.unwrap();
    let second = tokens.iter().find(|token| token.login == "second").unwrap();
    world.store.revoke_token(second.id, at(60)).await.unwrap();
    let drained = async { while response.chunk().await.unwrap().is_some() {} };
    timeout(HUNG, drained).await.expect("the stream ends once the token is revoked");
}

#[actix_web::test]
async fn a_stop_of_the_server_ends_streams() {
    let world = World::empty().await;
    let spec = Arc::new(seed::deploy(&["a.example.com"], 0));
    seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    let request = world.viewer().request("GET", "/orchestrator/v1/jobs/1/events").header("Accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    let stopped = async { timeout(HUNG, world.server.stop(true)).await.unwrap() };
    let drained = async { while let Ok(Some(_)) = timeout(HUNG, response.chunk()).await.unwrap() {} };
    futures_util::future::join(stopped, drained).await;
}

const ALL: &str = "GET /bunraku/v1/events";

#[actix_web::test]
async fn events_of_all_jobs_come_page_by_page() {
    let world = World::seeded().await;
    let viewer = world.viewer();
    viewer.get("/bunraku/v1/events?limit=3").await.record(ALL, "first-three");
    let mut start = "1".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = viewer.get(&format!("/bunraku/v1/events?start={start}&limit=4")).await.json();
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|event| event["id"].as_str().unwrap().parse::<u64>().unwrap()));
        start = page["next-events"]["event"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    let newest = world.jobs().newest_event().await.unwrap().0;
    assert_eq!(seen, (1..=newest).collect::<Vec<_>>(), "each once, in order");
    viewer.get("/bunraku/v1/events?start=x").await.record(ALL, "bad-start");
}

#[actix_web::test]
async fn one_stream_brings_the_events_of_all_jobs_and_is_resumed() {
    let world = World::seeded().await;
    let newest = world.jobs().newest_event().await.unwrap().0;
    let spec = Arc::new(seed::deploy(&["a.example.com"], 0));
    let job = seed::create(world.jobs(), &spec, JobState::New, vec![true]).await;
    let follow = async |start: &str, last: Option<&str>| {
        let path = format!("/bunraku/v1/events{start}");
        let mut request = world.viewer().request("GET", &path).header("Accept", "text/event-stream");
        if let Some(id) = last {
            request = request.header("Last-Event-ID", id);
        }
        timeout(HUNG, request.send()).await.unwrap().unwrap()
    };
    let until = async |response: &mut reqwest::Response, count: usize| {
        let mut seen = String::new();
        while ids(&seen).len() < count {
            let chunk = timeout(HUNG, response.chunk()).await.unwrap().unwrap().expect("the stream goes on");
            seen.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        seen
    };
    let mut live = follow("", None).await;
    world.store.append(vec![seed::started(&spec, job, 0, 1)]).await.unwrap();
    world.store.append(vec![ended(job), Write::JobEnded { job, state: JobState::Finished, at: at(3) }]).await.unwrap();
    let seen = until(&mut live, 3).await;
    let numbers: Vec<u64> = ids(&seen).iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(
        numbers,
        [newest + 1, newest + 2, newest + 3],
        "what happens from now on, and the end of a job is no end"
    );
    assert!(
        seen.lines().filter(|line| line.starts_with("data: ")).all(|line| line.contains("\"job\":\"4\"")),
        "{seen}"
    );

    let resumed = until(&mut follow("?start=1", Some(&(newest + 1).to_string())).await, 2).await;
    assert_eq!(ids(&resumed), [(newest + 2).to_string(), (newest + 3).to_string()], "Last-Event-ID wins over start");
    let whole = until(&mut follow("?start=1", None).await, usize::try_from(newest).unwrap() + 3).await;
    let numbers: Vec<u64> = ids(&whole).iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=newest + 3).collect::<Vec<_>>(), "from the first one, each once");
}

#[actix_web::test]
async fn a_stream_ends_when_its_reader_may_not_look_any_more() {
    let world = World::with(|options| options.sse_recheck = Duration::from_millis(50)).await;
    let rules = |text: &str| Arc::new(Rules::parse(text).unwrap());
    world.state.rules.store(rules("roles: {watcher: {permissions: ['orchestrator:view']}}"));
    let token = NewToken {
        login: "watcher".into(),
        display_name: "Watcher".into(),
        role: "watcher".into(),
        description: String::new(),
        expires_at: None,
    };
    world.store.create_token(token, TokenHash::of("watching"), at(0)).await.unwrap();
    let request = world.holder("watching").request("GET", "/bunraku/v1/events").header("Accept", "text/event-stream");
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    world.state.rules.store(rules("roles: {watcher: {permissions: ['audit:view']}}"));
    let drained = async { while response.chunk().await.unwrap().is_some() {} };
    timeout(HUNG, drained).await.expect("the stream ends");
}

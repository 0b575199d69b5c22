//! The usage of nodes, day by day.

use std::collections::BTreeMap;

use bunraku::api::records::{Records, UsageKind, UsageNotes};
use chrono::{Days, NaiveDate};

use super::fakes::node;
use super::world::World;

const USAGE: &str = "GET /orchestrator/v1/usage";

#[actix_web::test]
async fn nodes_are_counted_once_a_day() {
    let world = World::empty().await;
    let first = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
    let second = first.checked_add_days(Days::new(1)).unwrap();
    let (a, b) = (node("a.example.com"), node("b.example.com"));
    for _ in 0..2 {
        let nodes = vec![
            (first, UsageKind::Agent, a.clone()),
            (first, UsageKind::Agent, b.clone()),
            (first, UsageKind::Task, a.clone()),
            (second, UsageKind::Plan, b.clone()),
        ];
        world.store.note_usage(UsageNotes { nodes, ..UsageNotes::default() }).await.unwrap();
    }
    let changes = BTreeMap::from([(second, (1, 4))]);
    world.store.note_usage(UsageNotes { changes, cursor: Some(7), ..UsageNotes::default() }).await.unwrap();
    let viewer = world.viewer();
    let before = viewer.get("/orchestrator/v1/usage").await;
    before.record(USAGE, "two-days");
    while world.store.settle_usage(second).await.unwrap() {}
    assert_eq!(viewer.get("/orchestrator/v1/usage").await.text, before.text, "settled numbers are the same numbers");
    let range = "/orchestrator/v1/usage?start_date=2026-03-02&end_date=2026-03-09&events=exclude";
    viewer.get(range).await.record(USAGE, "range-without-events");
    viewer.get("/orchestrator/v1/usage?start_date=2026-3-2").await.record(USAGE, "bad-date");
    viewer.get("/orchestrator/v1/usage?start_date=2026-03-02&end_date=2026-03-01").await.record(USAGE, "backwards");
    viewer.get("/orchestrator/v1/usage?events=some").await.record(USAGE, "bad-events");
}

//! Large results: no page and no batch of the feed holds more of them than is good for memory.

use std::sync::Arc;

use bunraku_actors::model::{EventSeq, JobId, NodeEnd, NodeIndex, NodeState};
use bunraku_actors::ports::{JobStore, NodeQuery, Write};
use serde_json::{Value, json};

use super::builders::*;

const NODES: u32 = 12;
const OUTPUT: usize = 400 * 1024;

/// A job whose every node left much behind, which packs to next to nothing.
async fn heavy_job(store: &dyn JobStore) -> JobId {
    let spec = task_spec("exec", NODES as usize);
    let job = store.create_job(new_job(spec.clone())).await.unwrap();
    let starts = (0..NODES).map(|node| started(&spec, job, node, 1)).collect();
    store.append(starts).await.unwrap();
    let output = "x".repeat(OUTPUT);
    let end = |node| {
        let result = json!({ "_output": output, "node": node });
        let end = Arc::new(NodeEnd { result, ..end_of(NodeState::Finished) });
        Write::NodeEnded { job, node: NodeIndex(node), at: at(5), end, hold: None }
    };
    store.append((0..NODES).map(end).collect()).await.unwrap();
    job
}

fn bytes(value: &Value) -> usize {
    value.to_string().len()
}

#[tokio::test]
async fn pages_end_by_what_they_hold_unpacked_and_nothing_is_missed() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let job = heavy_job(store).await;

    let mut query = all_nodes(job);
    let mut seen = Vec::new();
    loop {
        let page = store.nodes(NodeQuery { ..query.clone() }).await.unwrap();
        let held: usize = page.items.iter().map(|node| bytes(&node.result)).sum();
        assert!(held < 4 * OUTPUT, "a page of {} nodes holds {held} bytes", page.items.len());
        seen.extend(page.items.iter().map(|node| node.node.0));
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(seen, (0..NODES).collect::<Vec<_>>());

    let (mut start, mut ends) = (EventSeq(0), 0);
    loop {
        let page = store.events(job, start, 1_000).await.unwrap();
        let held: usize = page.items.iter().map(|event| bytes(&event.detail)).sum();
        assert!(held < 4 * OUTPUT, "a page of {} events holds {held} bytes", page.items.len());
        assert!(!page.items.is_empty() || !page.more, "a page that ends early is never empty");
        ends += page.items.iter().filter(|event| event.detail.get("_output").is_some()).count();
        start = page.items.last().map_or(start, |last| last.seq.next());
        if !page.more {
            break;
        }
    }
    assert_eq!(ends, NODES as usize);
}

#[tokio::test]
async fn the_feed_keeps_no_large_details() {
    let fixture = Fixture::new();
    let mut feed = fixture.store.subscribe();
    let job = heavy_job(&fixture.store).await;
    let mut live = Vec::new();
    while live.len() < 2 * NODES as usize {
        live.extend(feed.recv().await.unwrap().iter().cloned());
    }
    let held: usize = live.iter().map(|event| bytes(&event.detail)).sum();
    assert!(held < OUTPUT, "{held} bytes");
    let stored = read_events(&fixture.store, job).await;
    assert_eq!(live.len(), stored.len());
    for (live, stored) in live.iter().zip(&stored) {
        assert_eq!((live.seq, live.kind, &live.message), (stored.seq, stored.kind, &stored.message));
        assert!(live.detail.is_null() || live.detail == stored.detail);
    }
}

//! The picture of a job in several moments, at 80 and at 200 columns; each snapshot is what a person sees.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn start() -> DateTime<Utc> {
    answers::time("2026-03-01T12:00:00Z").unwrap()
}

fn job(nodes: u64) -> Job {
    let started = Some(start().to_rfc3339_opts(SecondsFormat::Secs, true));
    Job { name: "42".into(), kind: "deploy".into(), node_count: nodes, started_timestamp: started, ..Job::default() }
}

fn event(kind: &str, node: &str, second: i64, reason: &str) -> Event {
    let time = start() + TimeDelta::seconds(second);
    Event {
        kind: kind.into(),
        timestamp: time.to_rfc3339_opts(SecondsFormat::Secs, true),
        details: json!({ "node": node, "detail": { "_error": { "msg": reason } } }),
        ..Event::default()
    }
}

/// The picture 90 s after the start of a job whose events are all heard at once.
fn shown(picture: &Picture, width: usize, height: usize) -> String {
    let lines = picture.lines(Duration::from_secs(10), width, height);
    assert!(lines.len() < height, "a row stays free");
    for line in &lines {
        let text = line.text(false);
        assert!(text.chars().count() <= width, "too long: {text}");
        assert!(!text.contains('\u{1b}') && line.text(true).contains(&text.chars().take(1).collect::<String>()));
    }
    lines.iter().map(|line| line.text(false)).collect::<Vec<_>>().join("\n")
}

/// Of 400 nodes, 250 are finished, 8 run, and 40 failed for three reasons.
fn busy() -> Picture {
    let mut picture = Picture::new(&job(400));
    let mut apply = |event: Event| picture.apply(&event, Duration::ZERO);
    for number in 0..298u32 {
        apply(event("node_running", &format!("web{number}.example.com"), i64::from(number) / 4, ""));
    }
    for number in 0..250u32 {
        apply(event("node_finished", &format!("web{number}.example.com"), i64::from(number) / 4 + 15, ""));
    }
    for number in 250..287u32 {
        let reason = format!(
            "Error 500 on SERVER: Server Error: Could not find class ::shop::web{number} for web{number}.example.com \
             (file: /etc/puppetlabs/code/environments/production/manifests/site.pp, line: 12, column: 3)"
        );
        let reason = reason.replace(&format!("shop::web{number}"), "shop");
        apply(event("node_failed", &format!("web{number}.example.com"), 78, &reason));
    }
    for number in 287..289u32 {
        let name = format!("web{number}.example.com");
        apply(event("node_errored", &name, 79, &format!("{name} is not connected to the PCP broker")));
    }
    let odd = "another Puppet run holds the lock\u{1b}[31m\n(pid 412)";
    apply(event("node_errored", "web289.example.com", 80, odd));
    picture.bind(Some("limits.concurrent_compiles"));
    picture
}

#[test]
fn many_nodes_with_failures() {
    insta::assert_snapshot!("busy_80", shown(&busy(), 80, 24));
    insta::assert_snapshot!("busy_200", shown(&busy(), 200, 50));
}

#[test]
fn few_rows_show_the_largest_groups() {
    insta::assert_snapshot!("busy_low", shown(&busy(), 80, 8));
    assert!(!shown(&busy(), 1, 2).is_empty(), "even where there is no room");
}

#[test]
fn many_reasons_are_cut_off_and_counted() {
    let mut picture = Picture::new(&job(60));
    for number in 0..60 {
        let reason = format!("exit code {number}");
        picture.apply(&event("node_failed", &format!("n{number}"), number, &reason), Duration::ZERO);
    }
    insta::assert_snapshot!("reasons_80", shown(&picture, 80, 16));
}

#[test]
fn the_beginning_and_the_stop() {
    insta::assert_snapshot!("begin_80", shown(&Picture::new(&job(3)), 80, 24));
    let mut picture = Picture::new(&job(3));
    picture.apply(&event("node_running", "a", 1, ""), Duration::ZERO);
    picture.apply(&Event { kind: "job_stopping".into(), ..event("", "", 2, "") }, Duration::ZERO);
    insta::assert_snapshot!("stopping_80", shown(&picture, 80, 24));
}

#[test]
fn colors_only_where_they_are_wanted() {
    let lines = busy().lines(Duration::ZERO, 80, 24);
    assert!(lines[0].text(true).contains("\u{1b}[32m█"));
    assert!(lines.iter().all(|line| !line.text(false).contains('\u{1b}')));
}

proptest! {
    #[test]
    fn the_bar_is_full_and_shows_whatever_there_is(counts in prop::array::uniform6(0u64..5000), cells in 6usize..130) {
        let shares = shares(&counts, cells);
        let sum: usize = shares.iter().sum();
        prop_assert_eq!(sum, if counts.iter().sum::<u64>() == 0 { 0 } else { cells });
        for (count, share) in counts.iter().zip(shares) {
            prop_assert_eq!(*count > 0, share > 0);
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal(width in 0usize..250, height in 0usize..60, nodes in 0u64..500) {
        let mut picture = busy();
        picture.tally = Tally::new(nodes);
        for line in picture.lines(Duration::from_secs(3), width, height) {
            prop_assert!(line.text(false).chars().count() <= width);
        }
    }
}

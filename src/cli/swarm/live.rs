//! What a swarm does at this moment, on a terminal: how many are connected, how many runs a second, what was lost.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval};

use crate::cli::output::Output;
use crate::swarm::{Snapshot, Swarm};

/// How often it is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// Draws until it is dropped; elsewhere than on a terminal it draws nothing.
pub(super) async fn draw(swarm: &Swarm, out: Output) {
    if !out.can_draw() {
        return std::future::pending().await;
    }
    let nodes = swarm.names().len();
    let bar = ProgressBar::new(nodes as u64);
    let style = ProgressStyle::with_template("{bar:30.green} {pos}/{len} connected  {msg}");
    bar.set_style(style.expect("our own template is well-formed").progress_chars("━╸ "));
    let mut ticks = interval(DRAW_EVERY);
    let mut last = (Instant::now(), swarm.snapshot());
    loop {
        ticks.tick().await;
        let now = (Instant::now(), swarm.snapshot());
        bar.set_position(now.1.connected as u64);
        bar.set_message(words(&last.1, &now.1, now.0.duration_since(last.0)));
        last = now;
    }
}

/// What happened between two looks.
fn words(before: &Snapshot, now: &Snapshot, passed: Duration) -> String {
    let going = now.runs_started.saturating_sub(now.runs_ended);
    let ended = now.runs_ended.saturating_sub(before.runs_ended);
    let rate = if passed.is_zero() { 0.0 } else { ended as f64 / passed.as_secs_f64() };
    let mut words = format!("{going} runs, {rate:.0} ended a second, {} in all", now.runs_ended);
    if now.sessions_lost + now.connects_failed > 0 {
        words += &format!("; {} sessions lost, {} connects failed", now.sessions_lost, now.connects_failed);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_goes_on_and_what_went_wrong() {
        let before = Snapshot { runs_started: 10, runs_ended: 5, ..Snapshot::default() };
        let now = Snapshot { runs_started: 40, runs_ended: 30, ..before };
        assert_eq!(words(&before, &now, Duration::from_millis(500)), "10 runs, 50 ended a second, 30 in all");
        let lost = Snapshot { sessions_lost: 2, ..now };
        assert!(words(&before, &lost, Duration::ZERO).ends_with("; 2 sessions lost, 0 connects failed"));
    }
}

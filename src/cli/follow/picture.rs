//! What a person sees of a running job, as lines of text for a given size: pure, so that it can be looked at in tests.
//!
//! It draws nothing. Colors only repeat what the signs say already.

use std::time::Duration;

use bunraku_actors::model::{EventKind, NodeState};

use super::failures::Failures;
use super::pace::Pace;
use super::tally::Tally;
use crate::cli::answers::{self, Event, Job};
use crate::cli::terminal::cut;

/// The widest bar.
const WIDEST_BAR: usize = 120;
/// Narrower terminals get no bar.
const NARROW: usize = 20;
/// The lines that are no failures: bar, counts, times, limit.
const HEAD: usize = 4;

/// The states from left to right in the bar: word, sign, color.
const STATES: [(NodeState, &str, char, Tone); 6] = [
    (NodeState::Finished, "finished", '█', Tone::Green),
    (NodeState::Failed, "failed", '▓', Tone::Red),
    (NodeState::Errored, "errored", '▓', Tone::Magenta),
    (NodeState::Skipped, "skipped", '░', Tone::Yellow),
    (NodeState::Running, "running", '▒', Tone::Cyan),
    (NodeState::New, "waiting", '·', Tone::Plain),
];

/// How a piece of a line is colored, where colors are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Green,
    Red,
    Magenta,
    Yellow,
    Cyan,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Green => Some("32"),
            Self::Red => Some("31"),
            Self::Magenta => Some("35"),
            Self::Yellow => Some("33"),
            Self::Cyan => Some("36"),
        }
    }
}

/// A line in its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Tone, String)>);

impl Line {
    fn plain(text: String) -> Self {
        Self(vec![(Tone::Plain, text)])
    }

    /// The text, with or without colors.
    pub(crate) fn text(&self, colored: bool) -> String {
        let pieces = self.0.iter().map(|(tone, text)| match tone.code() {
            Some(code) if colored => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.clone(),
        });
        pieces.collect()
    }
}

/// All that is known of a job while it is watched. Local times are counted from when the view began.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    job: String,
    tally: Tally,
    failures: Failures,
    pace: Pace,
    binding: Option<String>,
    stopping: bool,
}

impl Picture {
    /// A job of which no event was seen yet.
    pub(crate) fn new(job: &Job) -> Self {
        let begun = job.started_timestamp.as_deref().and_then(answers::time);
        Self {
            job: job.name.clone(),
            tally: Tally::new(job.node_count),
            failures: Failures::default(),
            pace: Pace::new(begun),
            binding: None,
            stopping: false,
        }
    }

    /// Takes an event that was heard at this local time.
    pub(crate) fn apply(&mut self, event: &Event, heard: Duration) {
        self.tally.apply(event);
        let kind = EventKind::from_name(&event.kind);
        let failed = matches!(kind, Some(EventKind::NodeFailed | EventKind::NodeErrored));
        if let Some(time) = answers::time(&event.timestamp) {
            self.pace.apply(time, heard, failed || kind == Some(EventKind::NodeFinished));
        }
        self.stopping |= kind == Some(EventKind::JobStopping);
        if let (true, Some(node)) = (failed, event.node()) {
            let end = if kind == Some(EventKind::NodeFailed) { NodeState::Failed } else { NodeState::Errored };
            self.failures.add(node, end.name(), event.reason());
        }
    }

    /// Takes the limit that keeps nodes waiting, in words.
    pub(crate) fn bind(&mut self, binding: Option<&str>) {
        self.binding = binding.map(str::to_owned);
    }

    /// The lines for a terminal of this size; fewer than it has rows.
    pub(crate) fn lines(&self, at: Duration, width: usize, height: usize) -> Vec<Line> {
        let mut lines = vec![self.bar(width), self.counts(width), Line::plain(cut(&self.times(at), width))];
        if let Some(binding) = &self.binding {
            lines.push(Line::plain(cut(&format!("waiting nodes are limited by {binding}"), width)));
        }
        // Two lines for a group, one for the others, and one row that is left free.
        let groups = height.saturating_sub(HEAD + 2) / 2;
        lines.extend(self.failures.lines(&self.job, groups, width).into_iter().map(Line::plain));
        lines.truncate(height.saturating_sub(1).max(1));
        lines
    }

    fn bar(&self, width: usize) -> Line {
        let cells = if width < NARROW { 0 } else { (width - 5).min(WIDEST_BAR) };
        let counts = STATES.map(|(state, ..)| self.tally.count(state));
        let shares = shares(&counts, cells);
        let pieces = STATES.iter().zip(shares).filter(|(_, share)| *share > 0);
        let mut line: Vec<_> =
            pieces.map(|((.., sign, tone), share)| (*tone, sign.to_string().repeat(share))).collect();
        let total = self.tally.total();
        let waiting = self.tally.count(NodeState::New) + self.tally.count(NodeState::Running);
        let percent = (total.saturating_sub(waiting) * 100).checked_div(total).unwrap_or(100);
        line.push((Tone::Plain, cut(&format!("{percent:>4}%"), width)));
        Line(line)
    }

    fn counts(&self, width: usize) -> Line {
        let mut line = Vec::new();
        let mut used = 0;
        for (state, word, sign, tone) in STATES {
            let count = self.tally.count(state);
            if count == 0 && state != NodeState::Finished {
                continue;
            }
            let gap = if line.is_empty() { "" } else { "   " };
            let text = format!("{gap}{sign} {count} {word}");
            used += text.chars().count();
            if used > width {
                break;
            }
            line.push((tone, text));
        }
        Line(line)
    }

    fn times(&self, at: Duration) -> String {
        let mut text = format!("job {}, {}", self.job, whole(self.pace.elapsed(at)));
        if let Some(per_minute) = self.pace.per_minute(at) {
            text += &format!(", {per_minute:.0} nodes/min");
        }
        let unfinished =
            self.tally.count(NodeState::Running) + if self.stopping { 0 } else { self.tally.count(NodeState::New) };
        if let Some(left) = self.pace.left(at, unfinished).filter(|_| unfinished > 0) {
            text += &format!(", about {} left", whole(left));
        }
        if self.stopping {
            text += ", stopping: no other node starts";
        }
        text
    }
}

/// A time span in whole seconds: `3m 20s`.
fn whole(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

/// The cells of each count: they fill the bar, and what there is has a cell, as long as there are enough.
fn shares(counts: &[u64; 6], cells: usize) -> [usize; 6] {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return [0; 6];
    }
    let exact = |count: u64| count as f64 * cells as f64 / total as f64;
    let mut shares = counts.map(|count| if count == 0 { 0 } else { (exact(count) as usize).max(1) });
    let mut sum: usize = shares.iter().sum();
    while let Some(largest) = shares.iter_mut().max().filter(|share| sum > cells && **share > 0) {
        *largest -= 1;
        sum -= 1;
    }
    if let Some(largest) = shares.iter_mut().max() {
        *largest += cells - sum;
    }
    shares
}

#[cfg(test)]
mod tests;

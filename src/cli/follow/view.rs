//! How a running job looks: bars on a terminal, plain lines elsewhere, JSON lines for programs.

use std::time::Duration;

use bunraku_actors::model::{EventKind, NodeState};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::tally::Tally;
use crate::cli::answers::{Event, Job};
use crate::cli::output::{self, Output};

/// The states that have a bar, from top to bottom.
const BARS: [(NodeState, &str, &str); 6] = [
    (NodeState::Finished, "finished", "green"),
    (NodeState::Running, "running", "cyan"),
    (NodeState::Failed, "failed", "red"),
    (NodeState::Errored, "errored", "magenta"),
    (NodeState::Skipped, "skipped", "yellow"),
    (NodeState::New, "waiting", "blue"),
];

/// Prints remarks without disturbing the bars. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Notes {
    out: Output,
    bars: Option<MultiProgress>,
}

impl Notes {
    /// A remark for people; programs see it on standard error.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        match &self.bars {
            Some(bars) => bars.suspend(|| self.out.note(text)),
            None => self.out.note(text),
        }
    }
}

/// The view of one job.
pub(crate) enum View {
    Bars(Bars),
    Plain(Output),
    Json { out: Output, job: String },
}

impl View {
    /// The view that fits where the output goes.
    pub(crate) fn new(out: Output, job: &Job) -> Self {
        if out.is_json() {
            Self::Json { out, job: job.name.clone() }
        } else if out.can_draw() {
            Self::Bars(Bars::new(out, job))
        } else {
            Self::Plain(out)
        }
    }

    /// Where remarks go while this view is shown.
    pub(crate) fn notes(&self) -> Notes {
        match self {
            Self::Bars(bars) => Notes { out: bars.out, bars: Some(bars.all.clone()) },
            Self::Plain(out) | Self::Json { out, .. } => Notes { out: *out, bars: None },
        }
    }

    /// Whether somebody watches who wants to know which limit binds.
    pub(crate) fn is_watched(&self) -> bool {
        !matches!(self, Self::Json { .. })
    }

    /// Shows an event; `raw` is the same one as the server sent it.
    pub(crate) fn event(&mut self, event: &Event, raw: &Value) {
        match self {
            Self::Bars(bars) => bars.event(event),
            Self::Plain(out) => out.line(plain(event)),
            Self::Json { out, job } => out.json(&with_job(raw, job)),
        }
    }

    /// Says which limit keeps nodes waiting, or that none does any more.
    pub(crate) fn binding(&mut self, binding: Option<&str>) {
        match self {
            Self::Bars(bars) => bars.binding(binding),
            Self::Plain(out) => {
                if let Some(binding) = binding {
                    out.line(format!("waiting nodes are limited by {binding}"));
                }
            }
            Self::Json { .. } => {}
        }
    }

    /// Takes the bars away; what was printed above them stays.
    pub(crate) fn close(self) {
        if let Self::Bars(bars) = self {
            bars.close();
        }
    }
}

/// The event as a program gets it: as the server sent it, with the number of its job.
fn with_job(raw: &Value, job: &str) -> Value {
    let mut event = raw.clone();
    if let Value::Object(keys) = &mut event {
        keys.insert("job".to_owned(), Value::from(job));
    }
    event
}

/// The event in one line.
fn plain(event: &Event) -> String {
    let message = event.message.trim();
    match (message.is_empty(), event.node()) {
        (false, _) => message.to_owned(),
        (true, Some(node)) => format!("{}: {node}", event.kind),
        (true, None) => event.kind.clone(),
    }
}

/// A bar per state and a line below with the elapsed time.
pub(crate) struct Bars {
    out: Output,
    all: MultiProgress,
    states: Vec<(NodeState, ProgressBar)>,
    status: ProgressBar,
    tally: Tally,
}

impl Bars {
    fn new(out: Output, job: &Job) -> Self {
        let all = MultiProgress::new();
        let tally = Tally::new(job.node_count);
        let colored = !output::no_color();
        let states = BARS.map(|(state, label, color)| {
            let bar = all.add(ProgressBar::new(tally.total().max(1)));
            let color = if colored { format!(".{color}") } else { String::new() };
            let template = format!("{{prefix:>9}} {{bar:40{color}}} {{pos}}");
            bar.set_style(style(&template));
            bar.set_prefix(label);
            bar.set_position(tally.count(state));
            (state, bar)
        });
        let status = all.add(ProgressBar::new_spinner());
        status.set_style(style("{elapsed:>9} {msg}"));
        status.set_message(format!("job {}", job.name));
        status.enable_steady_tick(Duration::from_secs(1));
        Self { out, all, states: states.into(), status, tally }
    }

    fn event(&mut self, event: &Event) {
        self.tally.apply(event);
        for (state, bar) in &self.states {
            bar.set_position(self.tally.count(*state));
        }
        let kind = EventKind::from_name(&event.kind);
        if matches!(kind, Some(EventKind::NodeFailed | EventKind::NodeErrored | EventKind::JobAborted)) {
            self.all.suspend(|| self.out.note(plain(event)));
        }
    }

    fn binding(&self, binding: Option<&str>) {
        self.status.set_message(binding.map(|limit| format!("limited by {limit}")).unwrap_or_default());
    }

    fn close(self) {
        self.status.disable_steady_tick();
        for (_, bar) in &self.states {
            bar.finish_and_clear();
        }
        self.status.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("our own templates are well-formed").progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_shows_the_message_or_else_what_happened() {
        let event = |message: &str, details: Value| Event {
            kind: "node_errored".into(),
            message: message.into(),
            details,
            ..Event::default()
        };
        assert_eq!(
            plain(&event("Finished puppet run on a - Success! ", json!({}))),
            "Finished puppet run on a - Success!"
        );
        assert_eq!(plain(&event("", json!({"node": "a"}))), "node_errored: a");
        assert_eq!(plain(&event("", json!({}))), "node_errored");
    }

    #[test]
    fn programs_get_the_event_and_its_job() {
        let raw = json!({"id": "7", "type": "node_running", "new-key": 1});
        assert_eq!(with_job(&raw, "42"), json!({"id": "7", "type": "node_running", "new-key": 1, "job": "42"}));
    }

    #[test]
    fn every_bar_has_a_well_formed_template() {
        let job = Job { name: "1".into(), node_count: 3, ..Job::default() };
        Bars::new(Output::new(output::Format::Human), &job).close();
    }
}

//! Where a running job is shown: a picture that is drawn again and again on a terminal, plain lines elsewhere, JSON
//! lines for programs. What the picture looks like is decided in `picture`.

use bunraku_actors::model::EventKind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::picture::Picture;
use crate::cli::answers::{Event, Job};
use crate::cli::output::{self, Output};
use crate::cli::terminal;

/// Prints remarks without disturbing the picture. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Notes {
    out: Output,
    drawn: Option<ProgressBar>,
}

impl Notes {
    /// A remark for people; programs see it on standard error.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        match &self.drawn {
            Some(drawn) => drawn.suspend(|| self.out.note(text)),
            None => self.out.note(text),
        }
    }

    /// Whether there is a picture, and so a person who can be asked.
    pub(crate) fn is_drawn(&self) -> bool {
        self.drawn.is_some()
    }

    /// Takes the picture away, so that a question can be asked and answered.
    pub(crate) fn hide(&self) {
        if let Some(drawn) = &self.drawn {
            drawn.finish_and_clear();
            drawn.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Lets the picture be drawn again, where it was taken away.
    pub(crate) fn unhide(&self) {
        // A new target does not know what the one before it has drawn, and would leave it there.
        if let Some(drawn) = self.drawn.as_ref().filter(|drawn| drawn.is_hidden()) {
            drawn.set_draw_target(ProgressDrawTarget::stderr());
            drawn.reset();
        }
    }
}

/// The view of one job.
pub(crate) enum View {
    Drawn(Box<Drawn>),
    Plain(Output),
    Json { out: Output, job: String },
}

impl View {
    /// The view that fits where the output goes.
    pub(crate) fn new(out: Output, job: &Job) -> Self {
        if out.is_json() {
            Self::Json { out, job: job.name.clone() }
        } else if out.can_draw() {
            Self::Drawn(Drawn::new(out, job).into())
        } else {
            Self::Plain(out)
        }
    }

    /// Where remarks go while this view is shown.
    pub(crate) fn notes(&self) -> Notes {
        match self {
            Self::Drawn(drawn) => Notes { out: drawn.out, drawn: Some(drawn.bar.clone()) },
            Self::Plain(out) | Self::Json { out, .. } => Notes { out: *out, drawn: None },
        }
    }

    /// Whether somebody watches who wants to know which limit binds.
    pub(crate) fn is_watched(&self) -> bool {
        !matches!(self, Self::Json { .. })
    }

    /// Shows an event; `raw` is the same one as the server sent it.
    pub(crate) fn event(&mut self, event: &Event, raw: &Value) {
        match self {
            Self::Drawn(drawn) => drawn.event(event),
            Self::Plain(out) => out.line(plain(event)),
            Self::Json { out, job } => out.json(&with_job(raw, job)),
        }
    }

    /// Says which limit keeps nodes waiting, or that none does any more.
    pub(crate) fn binding(&mut self, binding: Option<&str>) {
        match self {
            Self::Drawn(drawn) => drawn.picture.bind(binding),
            Self::Plain(out) => {
                if let Some(binding) = binding {
                    out.line(format!("waiting nodes are limited by {binding}"));
                }
            }
            Self::Json { .. } => {}
        }
    }

    /// Draws the picture as it is now. Elsewhere than on a terminal there is nothing to draw.
    pub(crate) fn draw(&self) {
        if let Self::Drawn(drawn) = self {
            drawn.draw();
        }
    }

    /// Takes the picture away; what was printed above it stays.
    pub(crate) fn close(self) {
        if let Self::Drawn(drawn) = self {
            drawn.bar.finish_and_clear();
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
    let message = terminal::one_line(&event.message);
    match (message.is_empty(), event.node()) {
        (false, _) => message,
        (true, Some(node)) => format!("{}: {node}", event.kind),
        (true, None) => event.kind.clone(),
    }
}

/// The picture of a job, and where it is drawn.
pub(crate) struct Drawn {
    out: Output,
    picture: Picture,
    bar: ProgressBar,
    since: Instant,
    colored: bool,
}

impl Drawn {
    fn new(out: Output, job: &Job) -> Self {
        // The whole picture is the message of one bar, which takes care of drawing over what was there.
        let style = ProgressStyle::with_template("{msg}").expect("our own template is well-formed");
        let bar = ProgressBar::new_spinner().with_style(style);
        let drawn = Self { out, picture: Picture::new(job), bar, since: Instant::now(), colored: !output::no_color() };
        drawn.draw();
        drawn
    }

    fn event(&mut self, event: &Event) {
        self.picture.apply(event, self.since.elapsed());
        if EventKind::from_name(&event.kind) == Some(EventKind::JobAborted) {
            self.bar.suspend(|| self.out.note(plain(event)));
        }
    }

    fn draw(&self) {
        let (width, height) = terminal::size();
        let lines = self.picture.lines(self.since.elapsed(), width, height);
        let lines: Vec<_> = lines.iter().map(|line| line.text(self.colored)).collect();
        self.bar.set_message(lines.join("\n"));
        self.bar.tick();
    }
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
    fn a_picture_is_drawn_and_taken_away() {
        let job = Job { name: "1".into(), node_count: 3, ..Job::default() };
        let view = View::Drawn(Drawn::new(Output::new(output::Format::Human), &job).into());
        view.draw();
        assert!(view.notes().is_drawn());
        view.close();
    }
}

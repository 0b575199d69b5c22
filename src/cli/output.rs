//! Everything that a command prints goes through here: lines, JSON, tables, notes and errors.
//!
//! Results go to standard output, everything about the command itself to standard error. A reader that hangs up
//! (`| head`) is no error.

use std::io::{self, IsTerminal, Write};

use parking_lot::Mutex;
use serde_json::Value;

use super::error::CliError;
use super::{table, terminal};

/// What results look like: sentences and tables for people, or JSON for programs, one value per line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    // No doc comments here: clap would turn every help text into its long form.
    #[default]
    Human,
    Json,
}

/// So many of something, in words that fit: the first for one, the second for any other number.
pub(crate) fn counted(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    /// Output in that format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether programs read the results.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether a progress view may be drawn on standard error.
    pub(crate) fn can_draw(self) -> bool {
        !self.is_json() && io::stderr().is_terminal() && io::stdout().is_terminal()
    }

    /// Whether a person sees standard error.
    pub(crate) fn has_reader(self) -> bool {
        !self.is_json() && io::stderr().is_terminal()
    }

    /// How wide results may be; without a terminal there is no limit, for programs read them.
    pub(crate) fn width(self) -> Option<usize> {
        io::stdout().is_terminal().then(|| terminal::size().0)
    }

    /// One line of the result.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        keep(writeln!(io::stdout().lock(), "{}", text.as_ref()));
    }

    /// One JSON value, on a line of its own.
    pub(crate) fn json(self, value: &Value) {
        self.line(value.to_string());
    }

    /// A remark about the command, not part of its result.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// An error with the next step, if there is one.
    pub(crate) fn error(self, error: &CliError) {
        if self.is_json() {
            return self.note(error.to_json().to_string());
        }
        // Servers have their part in it.
        self.note(format!("bunraku: {}", terminal::escaped_lines(&error.to_string())));
        if let Some(hint) = error.hint() {
            self.note(format!("  next: {hint}"));
        }
    }

    /// A table as wide as the terminal at most; without a terminal, every row on one line.
    pub(crate) fn table<const N: usize>(self, header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        table::lines(header, rows, self.width()).iter().for_each(|line| self.line(line));
    }
}

/// The first failure to write a result.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Remembers that a result was not written. A reader that hung up has what it wanted.
pub(crate) fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        LOST.lock().get_or_insert(error);
    }
}

/// Why results were lost, if they were; asked at the end of a command.
pub(crate) fn lost() -> Option<CliError> {
    keep(io::stdout().flush());
    let error = LOST.lock().take()?;
    Some(CliError::Other(anyhow::anyhow!("the output could not be written: {error}")))
}

/// Whether colors are unwanted: `NO_COLOR` is set to anything but nothing.
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

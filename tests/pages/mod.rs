//! The commands of our guides, as tests run them. Every block of commands on a page that [`PAGES`] names has a line before it
//! which says what becomes of it:
//!
//! - `<!-- run -->`: it must succeed;
//! - `<!-- run: exit code 3 -->`: it must end like that;
//! - `<!-- run: in the background until "TEXT" -->`: it is started; what follows waits until it has said TEXT;
//! - `<!-- not run: REASON -->`: with one of [`REASONS`]; a test may do what comes next to it.
//!
//! All blocks of a page share their directory and their exported variables, as those of one terminal do. Shared by `tests/it`
//! and `tests/real`; `tests/it/docs.rs` sees that no block is without its mark.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Why a block may be left out.
pub(crate) const REASONS: [&str; 4] = ["systemd", "image registry", "builds the program", "another machine"];
/// Longer than anything that starts is silent; what is silent for longer never starts.
const PATIENCE: Duration = Duration::from_secs(120);

/// What becomes of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    Run { code: i32 },
    Background { until: String },
    NotRun { reason: String },
}

/// Some commands of a page.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Where it stands, for messages.
    pub(crate) place: String,
    pub(crate) text: String,
    pub(crate) mark: Mark,
}

/// The blocks of commands of a page, in order; or what is wrong with their marks.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).map_err(|error| format!("{page}: {error}"))?;
    let mut lines: VecDeque<(usize, &str)> = text.lines().enumerate().collect();
    let (mut found, mut before) = (Vec::new(), "");
    while let Some((number, line)) = lines.pop_front() {
        if let Some(language) = line.strip_prefix("```") {
            let place = format!("{page}:{}", number + 1);
            let mut body = String::new();
            loop {
                let (_, line) = lines.pop_front().ok_or_else(|| format!("{place}: the block has no end"))?;
                if line == "```" {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            if language == "sh" {
                let mark = mark(before).map_err(|reason| format!("{place}: {reason}"))?;
                found.push(Block { place, text: body, mark });
            }
        }
        before = line;
    }
    Ok(found)
}

fn mark(line: &str) -> Result<Mark, String> {
    let inner = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
    let inner = inner.ok_or("no mark stands on the line before it")?;
    let (kind, rest) = inner.split_once(": ").unwrap_or((inner, ""));
    match (kind, rest) {
        ("run", "") => Ok(Mark::Run { code: 0 }),
        ("run", rest) if rest.starts_with("exit code ") => {
            let code = rest["exit code ".len()..].parse().map_err(|_| format!("'{rest}' names no exit code"))?;
            Ok(Mark::Run { code })
        }
        ("run", rest) => {
            let until = rest.strip_prefix("in the background until \"").and_then(|rest| rest.strip_suffix('"'));
            until.map(|until| Mark::Background { until: until.to_owned() }).ok_or_else(|| format!("what is '{rest}'?"))
        }
        ("not run", reason) if REASONS.contains(&reason) => Ok(Mark::NotRun { reason: reason.to_owned() }),
        _ => Err(format!("'{inner}' is no mark; reasons are {REASONS:?}")),
    }
}

/// A port that nobody uses at the moment.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A terminal in which the blocks of a page run, one after the other.
pub(crate) struct Shell {
    /// The home directory; everything of it goes with it.
    home: TempDir,
    /// What stands on the page, and what it is here.
    replacements: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    background: Vec<Background>,
}

impl Shell {
    /// A terminal in a home directory of its own, with the program under test in its path.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bunraku"), bin.join("bunraku")).unwrap();
        Self { home, replacements: Vec::new(), variables: Vec::new(), background: Vec::new() }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A directory that is first in the path, for programs that stand for others.
    pub(crate) fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    /// Reads `there` wherever the page says `page`; what was named first goes first.
    pub(crate) fn replace(&mut self, page: &str, there: impl Into<String>) {
        self.replacements.push((page.to_owned(), there.into()));
    }

    /// Sets a variable of all commands.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    /// What this text of a page is here.
    pub(crate) fn here(&self, text: &str) -> String {
        self.replacements.iter().fold(text.to_owned(), |text, (page, there)| text.replace(page, there))
    }

    /// Runs the blocks in order. `stand_in` is told of each that is not run.
    pub(crate) fn play(&mut self, blocks: &[Block], mut stand_in: impl FnMut(&mut Self, &Block)) -> String {
        let mut said = String::new();
        for block in blocks {
            match &block.mark {
                Mark::Run { code } => said.push_str(&self.run(&block.place, &block.text, *code)),
                Mark::Background { until } => self.start(&block.place, &block.text, until),
                Mark::NotRun { .. } => stand_in(self, block),
            }
        }
        said
    }

    /// Runs commands to their end, and returns what they said.
    pub(crate) fn run(&mut self, place: &str, text: &str, code: i32) -> String {
        let state = self.home.path().join(".state");
        let keep = format!("trap '{{ export -p; echo \"cd \\\"$PWD\\\"\"; }} > {}' EXIT", state.display());
        let output = self.command(&format!("{keep}\n{}", self.here(text))).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let logs: Vec<String> = self.background.iter_mut().map(Background::log).collect();
        assert_eq!(output.status.code(), Some(code), "{place}:\n{}\n{said}\n{}", self.here(text), logs.join("\n"));
        said
    }

    /// Starts commands that stay, and waits until they have said so.
    pub(crate) fn start(&mut self, place: &str, text: &str, until: &str) {
        let mut command = self.command(&self.here(text));
        // A group of its own, so that its end reaches whatever it has started.
        let mut child = command.process_group(0).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Nobody may keep it waiting: what is read after the test is dropped.
                let _ = tell.send(line);
            }
        });
        let mut started = Background { child, said, log: String::new() };
        assert!(started.wait_for(until), "{place}: it never said '{until}':\n{}", started.log);
        self.background.push(started);
    }

    /// Ends what was started, the last first.
    pub(crate) fn stop(&mut self) {
        while let Some(last) = self.background.pop() {
            drop(last);
        }
    }

    fn command(&self, text: &str) -> Command {
        let state = self.home.path().join(".state");
        let mut command = Command::new("sh");
        let script = format!(
            "exec 2>&1; cd {home}; [ ! -e {state} ] || . {state}; set -eu\n{text}",
            home = self.home.path().display(),
            state = state.display()
        );
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BUNRAKU_") {
                command.env_remove(name);
            }
        }
        // A proxy and its CA would only confuse a private CA.
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"] {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("HOME", self.home.path()).env("NO_PROXY", "*").env("no_proxy", "*");
        command.env("PATH", format!("{}:{path}", self.bin().display()));
        command.env_remove("XDG_CONFIG_HOME");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Something that stays until the test is over.
struct Background {
    child: Child,
    said: Receiver<String>,
    log: String,
}

impl Background {
    fn wait_for(&mut self, text: &str) -> bool {
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            let found = line.contains(text);
            self.log.push_str(&line);
            self.log.push('\n');
            if found {
                return true;
            }
        }
        false
    }

    /// What it has said so far.
    fn log(&mut self) -> String {
        for line in self.said.try_iter() {
            self.log.push_str(&line);
            self.log.push('\n');
        }
        self.log.clone()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // An error says that it has ended already. Its children hear the signal as well.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

//! A `bunraku demo` that stays up: service, three agents, an application; and a few tasks of these tests.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;

/// Tasks beside the demo's own: one that fails, one that takes its time, and a module's own.
const TASKS: [(&str, &str); 3] = [
    ("fail.sh", "#!/bin/sh\necho about to fail\nexit 3\n"),
    ("slow.sh", "#!/bin/sh\nsleep 4\necho done\n"),
    ("init.sh", "#!/bin/sh\necho hello\n"),
];

/// What the stand-in and the tasks need.
const TOOLS: [&str; 13] =
    ["sh", "date", "cat", "mkdir", "mktemp", "sleep", "cmp", "cp", "mv", "rm", "uname", "curl", "env"];

/// A running demo.
pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) ca: String,
    nodes: String,
    said: Arc<Mutex<String>>,
    process: Mutex<Child>,
    _place: TempDir,
}

static SHARED: Mutex<Weak<Site>> = Mutex::new(Weak::new());

impl Site {
    /// The one that all scripts share. It ends when nobody uses it; who comes later starts another one.
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock();
        shared.upgrade().unwrap_or_else(|| {
            let site = Arc::new(Self::start());
            *shared = Arc::downgrade(&site);
            site
        })
    }

    /// Starts one and waits until its first jobs are over.
    pub(crate) fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bunraku"));
        command.args(["demo", "--nodes", "3", "--format", "json", "--listen", "127.0.0.1:0"]);
        command.args(["--broker-listen", "127.0.0.1:0"]).env("TMPDIR", place.path());
        // Without Puppet in the path a stand-in converges, which is quick and the same everywhere.
        command.env("PATH", tools(place.path()));
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (mut errors, kept) = (process.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = errors.read(&mut bytes) {
                kept.lock().push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut next = || -> Value { serde_json::from_str(&lines.next().expect("the demo goes on").unwrap()).unwrap() };
        let site = next();
        let text = |key: &str| site[key].as_str().unwrap().to_owned();
        add_tasks(Path::new(&text("dir")));
        let nodes: Vec<&str> = site["nodes"].as_array().unwrap().iter().map(|node| node.as_str().unwrap()).collect();
        // A deploy and a task.
        let mut over = 0;
        while over < 2 {
            over += usize::from(next()["type"] == "job_finished");
        }
        // It goes on writing; nobody may keep it waiting.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            url: text("url"),
            token: text("token"),
            ca: text("ca"),
            nodes: nodes.join(","),
            said,
            process: Mutex::new(process),
            _place: place,
        }
    }

    /// Tells a script where everything is.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("BUNRAKU_URL", &self.url).env("BUNRAKU_TOKEN", &self.token).env("BUNRAKU_CA", &self.ca);
        command.env("NODES", &self.nodes).env("AWAY", "away.demo")
    }

    /// What the demo has said on standard error.
    pub(crate) fn log(&self) -> String {
        self.said.lock().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let mut process = self.process.lock();
        // An error says that it has ended already. Its children end with it.
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// A directory with these programs and no others.
fn tools(place: &Path) -> PathBuf {
    let bin = place.join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in TOOLS {
        let folders = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
        if let Some(found) = folders.into_iter().find(|path| path.exists()) {
            symlink(found, bin.join(tool)).unwrap();
        }
    }
    bin
}

fn add_tasks(dir: &Path) {
    let tasks = dir.join("modules/probe/tasks");
    fs::create_dir_all(&tasks).unwrap();
    for (name, program) in TASKS {
        let path = tasks.join(name);
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

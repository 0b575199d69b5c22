//! Everything that outlives a process: certificates, token, database, a task.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The task that is run; simulated agents never look at it.
pub(crate) const TASK: &str = "scale::say";

/// The site.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    /// A loopback address of its own: no other socket of this machine takes its ports while the service is down.
    pub(crate) host: String,
    pub(crate) token: String,
    binary: PathBuf,
}

impl Site {
    pub(crate) const API: u16 = 8143;
    pub(crate) const BROKER: u16 = 8142;

    /// Makes a site with `bunraku init`, as a user does.
    pub(crate) fn create(dir: &Path, binary: &Path) -> Self {
        let dir = std::fs::canonicalize(dir).unwrap();
        let number = std::process::id();
        // Neither 127.0.0.1, where everybody else is, nor a network's first or last address.
        let host = format!("127.{}.{}.{}", 201 + number % 50, number / 50 % 250, 2 + number / 12_500 % 250);
        let site = Self { host, token: String::new(), binary: std::fs::canonicalize(binary).unwrap(), dir };
        let server = site.server();
        let made = site.bunraku().arg("init").arg(&server).args(["--name", &site.host]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let tasks = server.join("modules/scale/tasks");
        std::fs::create_dir_all(&tasks).unwrap();
        std::fs::write(tasks.join("say.sh"), "#!/bin/sh\n").unwrap();
        let token = std::fs::read_to_string(server.join("token")).unwrap().trim().to_owned();
        Self { token, ..site }
    }

    /// The directory that `bunraku init` made.
    pub(crate) fn server(&self) -> PathBuf {
        self.dir.join("server")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.server().join("data/bunraku.db")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.server().join("ssl/ca.pem")
    }

    /// The binary, without what the caller's environment says about other services.
    pub(crate) fn bunraku(&self) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BUNRAKU_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", "/nonexistent").env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// A log that is appended to.
    pub(crate) fn log(&self, name: &str) -> std::fs::File {
        std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join(name)).unwrap()
    }
}

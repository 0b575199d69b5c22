//! Baselines in processes of their own, so that their cost can be told apart: this same program, told by its environment
//! what to be. They do the unavoidable and nothing else.

pub(crate) mod echo;
pub(crate) mod http;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bunraku::tls::{TlsPaths, install_provider};

use crate::support::service::Site;

const ROLE: &str = "BENCH_ROLE";
const PATHS: [&str; 4] = ["BENCH_CERT", "BENCH_KEY", "BENCH_CA", "BENCH_CRL"];

/// Whether this process is a baseline.
pub(crate) fn is_one() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Is the baseline until standard input ends.
pub(crate) fn serve() {
    install_provider();
    let [cert, key, ca, crl] = PATHS.map(|name| std::env::var_os(name).unwrap().into());
    let paths = TlsPaths { cert, key, ca, crl: Some(crl) };
    match std::env::var(ROLE).unwrap().as_str() {
        "echo" => echo::serve(paths),
        "http" => http::serve(paths),
        other => panic!("no baseline is called {other}"),
    }
}

/// A baseline, as its parent sees it.
pub(crate) struct Bare {
    process: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Bare {
    /// Starts it with the site's certificates, and waits for its port.
    pub(crate) fn start(role: &str, site: &Site, environment: &[(&str, &str)]) -> Self {
        let paths = site.config.tls_paths();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROLE, role).envs(environment.iter().copied());
        for (name, path) in PATHS.iter().zip([&paths.cert, &paths.key, &paths.ca, paths.crl.as_ref().unwrap()]) {
            command.env(name, path);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, hear) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut bare = Self { process, say, hear, port: 0 };
        bare.port = bare.hear().parse().unwrap();
        bare
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Gives an order, and waits for the answer.
    pub(crate) fn order(&mut self, order: &str) -> String {
        writeln!(self.say, "{order}").unwrap();
        self.hear()
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.hear.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

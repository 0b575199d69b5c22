//! The command line, the environment and the files of a Puppet run.
//!
//! A stand-in for Puppet gets the same arguments. In mode `agent` it must answer `config print` with the settings named
//! in [`Paths::NAMES`] as `name = value` lines, and write its report, with the job id of `--job-id`, to `lastrunreport`.
//! In mode `apply` it is never asked: it writes its report to the value of `--lastrunreport`, which it also finds in the
//! variable `BUNRAKU_LASTRUNREPORT`, with the orchestrator's job in `BUNRAKU_JOB_ID`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::agent::config::{AgentConfig, PuppetConfig, PuppetMode};
use crate::agent::process::RunFile;

/// Variables that would bend Puppet's Ruby or its TLS; `*` stands for any ending.
const WITHHELD: [&str; 8] =
    ["RUBYOPT", "RUBYLIB", "GEM_*", "BUNDLE_*", "SSL_CERT_FILE", "SSL_CERT_DIR", "BUNRAKU_*", "PT_*"];
/// Puppet starts many programs by name.
const DEFAULT_PATH: &str = "/opt/puppetlabs/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Puppet's files on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Paths {
    /// `last_run_report.yaml`.
    pub(super) report: PathBuf,
    /// Exists while Puppet runs, and holds its process id.
    pub(super) run_lock: PathBuf,
    /// Exists while runs are disabled, and holds the reason.
    pub(super) disabled_lock: PathBuf,
}

impl Paths {
    /// The settings that tell them.
    pub(super) const NAMES: [&str; 3] = ["lastrunreport", "agent_catalog_run_lockfile", "agent_disabled_lockfile"];

    /// Reads what `puppet config print` says.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let settings: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let path = |name: &str| settings.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let [report, run_lock, disabled_lock] = Self::NAMES;
        Some(Self { report: path(report)?, run_lock: path(run_lock)?, disabled_lock: path(disabled_lock)? })
    }

    /// The files of `puppet apply`: its report goes where we say.
    pub(super) fn of_apply(vardir: &Path, directory: &Path) -> Self {
        let state = vardir.join("state");
        Self {
            report: directory.join("last_run_report.yaml"),
            run_lock: state.join("agent_catalog_run.lock"),
            disabled_lock: state.join("agent_disabled.lock"),
        }
    }
}

/// Whether the report will name the job: `puppet apply` has no such option.
pub(super) fn writes_job_id(config: &PuppetConfig) -> bool {
    config.mode == PuppetMode::Agent
}

/// The order for the wrapper.
pub(super) fn order(config: &AgentConfig, program: &Path, paths: &Paths, flags: &[String], job_id: &str) -> RunFile {
    let puppet = &config.puppet;
    let mut args: Vec<String> = match puppet.mode {
        PuppetMode::Agent => vec!["agent".to_owned()],
        PuppetMode::Apply => vec!["apply".to_owned()],
    };
    args.extend(directories(puppet));
    args.extend(fixed_flags(puppet.mode).iter().map(|flag| (*flag).to_owned()));
    match puppet.mode {
        PuppetMode::Agent => args.extend(["--job-id".to_owned(), job_id.to_owned()]),
        PuppetMode::Apply => args.extend(["--lastrunreport".to_owned(), text(&paths.report)]),
    }
    if let Some(environment) = puppet.environment.as_ref().filter(|_| super::params::environment(flags).is_none()) {
        args.extend(["--environment".to_owned(), environment.clone()]);
    }
    // Last: of two settings Puppet takes the later one.
    args.extend(flags.iter().cloned());
    if puppet.mode == PuppetMode::Apply {
        args.extend(puppet.manifest.as_deref().map(text));
    }
    let mut env = environment_variables();
    env.insert("BUNRAKU_LASTRUNREPORT".to_owned(), text(&paths.report));
    env.insert("BUNRAKU_JOB_ID".to_owned(), job_id.to_owned());
    RunFile {
        program: program.to_owned(),
        args,
        env,
        env_remove: WITHHELD.map(str::to_owned).to_vec(),
        output_limit: config.output_limit as u64,
        ends_children: true,
    }
}

/// `--test` without what it lacks, and without diffs, which can hold secrets.
fn fixed_flags(mode: PuppetMode) -> &'static [&'static str] {
    match mode {
        PuppetMode::Agent => &[
            "--onetime",
            "--no-daemonize",
            "--verbose",
            "--detailed-exitcodes",
            "--no-usecacheonfailure",
            "--no-splay",
            "--no-show_diff",
            "--color=false",
        ],
        PuppetMode::Apply => &["--verbose", "--detailed-exitcodes", "--no-show_diff", "--color=false"],
    }
}

/// The configured directories, as options.
pub(super) fn directories(config: &PuppetConfig) -> Vec<String> {
    let options = [("--confdir", &config.confdir), ("--vardir", &config.vardir)];
    let given = options.into_iter().filter_map(|(option, path)| Some([option.to_owned(), text(path.as_deref()?)]));
    given.flatten().collect()
}

/// Where programs are searched.
pub(super) fn search_path() -> String {
    std::env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

/// Gives a command the environment that Puppet runs in.
pub(super) fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let withheld = |name: &str| {
            WITHHELD.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == *pattern,
            })
        };
        if name.to_str().is_some_and(withheld) {
            command.env_remove(name);
        }
    }
    command.envs(environment_variables());
}

fn environment_variables() -> BTreeMap<String, String> {
    let home = std::env::var("HOME").ok().filter(|home| !home.is_empty()).unwrap_or_else(|| "/root".to_owned());
    let variables = [("PATH", search_path()), ("LC_ALL", "C.UTF-8".to_owned()), ("HOME", home)];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

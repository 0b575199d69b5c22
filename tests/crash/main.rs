//! The promises under `kill -9`: the real binary as service and agents, scripted pxp-agents beside them, processes killed
//! at random moments, and a checker that compares what really ran with what everybody says afterwards.
//!
//! `cargo test --test crash` does a few dozen crashes. `make crash N=1000 SEED=7` does as many, in rounds, and goes on
//! where it was stopped; its summary is `target/tmp/crash/seed-7/summary.json`. A seed fixes jobs and faults; how the
//! processes interleave is the machine's affair, so a round is not repeated exactly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
mod client;
mod evidence;
mod faults;
mod fleet;
mod orders;
mod process;
mod pxp;
mod round;
mod rules;
mod runs_log;
mod service;
mod signs;
mod site;
mod summary;
mod timeline;

use std::fs;
use std::path::{Path, PathBuf};

use bunraku::tls;
use tokio::time::Instant;

use self::summary::{Finding, Summary};

/// Crashes of a plain `cargo test`.
const FEW: u64 = 30;
/// The seed when none is given.
const SEED: u64 = 1;
/// Crashes of one round.
const ROUND: u64 = 25;

/// What the environment asks for.
struct Options {
    crashes: u64,
    seed: u64,
    /// Whether a campaign of that seed goes on.
    resume: bool,
    dir: PathBuf,
}

impl Options {
    fn from_env() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
            Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
        };
        let seed = number("CRASH_SEED").unwrap_or(SEED);
        let crashes = number("CRASH_N");
        let name = if crashes.is_some() { format!("seed-{seed}") } else { format!("few-{}", std::process::id()) };
        Self {
            crashes: crashes.unwrap_or(FEW),
            seed,
            resume: crashes.is_some(),
            dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash").join(name),
        }
    }
}

#[test]
fn promises_1_to_7_hold_whatever_is_killed_however_often() {
    tls::install_provider();
    let options = Options::from_env();
    fs::create_dir_all(&options.dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let summary = runtime.block_on(campaign(&options));
    let text = serde_json::to_string_pretty(&summary).unwrap();
    assert!(summary.findings.is_empty(), "{text}");
    if !options.resume {
        fs::remove_dir_all(&options.dir).unwrap();
    }
}

async fn campaign(options: &Options) -> Summary {
    let file = options.dir.join("summary.json");
    let mut summary = Summary::load(&file, options.seed);
    say(&format!("seed {}, {} of {} crashes done", options.seed, summary.total.crashes, options.crashes));
    while summary.total.crashes < options.crashes {
        let begun = Instant::now();
        let number = summary.rounds;
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add(number);
        let left = options.crashes - summary.total.crashes;
        let crashes = if options.resume { left.min(ROUND) } else { left };
        let dir = options.dir.join(format!("round-{number}"));
        if dir.exists() {
            // Of a campaign that was stopped in the middle of this round.
            fs::remove_dir_all(&dir).unwrap();
        }
        let report = round::run(&dir, seed, crashes).await;
        fs::write(options.dir.join("timeline.txt"), &report.timeline).unwrap();
        let finding = (!report.violations.is_empty()).then(|| {
            fs::write(dir.join("timeline.txt"), &report.timeline).unwrap();
            say(&format!("{}\nround {number}, seed {seed}: {:#?}", report.timeline, report.violations));
            let kept = dir.display().to_string();
            Finding { round: number, seed, kept, violations: report.violations.clone() }
        });
        if finding.is_none() {
            fs::remove_dir_all(&dir).unwrap();
        }
        summary.add(&file, &report.tally, begun.elapsed().as_secs(), finding);
        say(&format!(
            "round {number}: {} crashes, {} jobs, {} runs, {} violations in {} s",
            report.tally.crashes,
            report.tally.jobs,
            report.tally.executions,
            report.violations.len(),
            begun.elapsed().as_secs()
        ));
    }
    summary
}

#[expect(clippy::print_stderr, reason = "a campaign tells how far it is")]
fn say(text: &str) {
    eprintln!("{text}");
}

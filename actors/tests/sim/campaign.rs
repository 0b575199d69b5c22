//! Many seeds on all cores, and what becomes of one that breaks a promise.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::story::{self, Outcome};
use crate::tally::Tally;

/// How many seeds a thread takes at once.
const CHUNK: u64 = 50;
/// After so many broken seeds there is no use in more.
const ENOUGH: usize = 20;
/// How often a long campaign says how far it is.
const SAY_EVERY: u64 = 20_000;

/// Which seeds are played.
#[derive(Debug, Clone)]
pub(crate) struct Seeds(Range<u64>);

impl Seeds {
    /// `SIM_SEEDS` as `from..to` or as a number of seeds; `few` without it.
    pub(crate) fn from_env(few: u64) -> Self {
        let Some(text) = std::env::var("SIM_SEEDS").ok().filter(|text| !text.is_empty()) else { return Self(0..few) };
        let number = |text: &str| text.trim().parse().unwrap_or_else(|error| panic!("SIM_SEEDS={text}: {error}"));
        Self(match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        })
    }
}

/// Plays all of them; returns what happened and the seeds that broke a promise.
pub(crate) fn run(Seeds(seeds): Seeds) -> (Tally, Vec<u64>) {
    let next = AtomicU64::new(seeds.start);
    let results = Mutex::new((Tally::default(), Vec::new()));
    let before = cpu_millis();
    let work = || {
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= seeds.end || results.lock().1.len() >= ENOUGH {
                return;
            }
            let mut tally = Tally::default();
            let mut broken = Vec::new();
            for seed in start..(start + CHUNK).min(seeds.end) {
                let outcome = story::play(seed, false);
                tally.add(&outcome.tally);
                if !outcome.violations.is_empty() {
                    tell(seed, &outcome);
                    broken.push(seed);
                }
            }
            if (start - seeds.start).is_multiple_of(SAY_EVERY) && start > seeds.start {
                say(&format!("{} seeds begun", start - seeds.start));
            }
            let mut results = results.lock();
            results.0.add(&tally);
            results.1.extend(broken);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (tally, mut broken) = results.into_inner();
    broken.sort_unstable();
    let count = seeds.end.saturating_sub(seeds.start).max(1);
    tally.lines().for_each(|line| say(&line));
    let each = cpu_millis().saturating_sub(before) * 1_000 / count;
    say(&format!("{count} seeds, {each} us of CPU each, {} broke a promise", broken.len()));
    (tally, broken)
}

/// Plays the seed again with every step, and keeps that.
fn tell(seed: u64, outcome: &Outcome) {
    let again = story::play(seed, true);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("seed-{seed}.txt"));
    fs::write(&file, again.steps.join("\n") + "\n").unwrap();
    say(&format!("seed {seed}: {:#?}", outcome.violations));
    if again.violations != outcome.violations {
        say(&format!("played again it differs: {:#?}", again.violations));
    }
    say(&format!("every step: {}; again: make simulate SEEDS={seed}..{}", file.display(), seed + 1));
}

/// CPU time of this process so far. Linux counts it in hundredths of a second; elsewhere it is not told.
fn cpu_millis() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}

#[expect(clippy::print_stderr, reason = "a campaign tells how far it is")]
fn say(text: &str) {
    eprintln!("{text}");
}

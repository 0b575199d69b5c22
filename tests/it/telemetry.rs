//! Metrics: sources, list and documentation agree.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bunraku::telemetry::catalog::{self, METRICS};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn what_the_sources_count_is_listed_and_the_other_way_round() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut counted = BTreeSet::new();
    for file in files.iter().filter(|file| !file.ends_with("telemetry/catalog.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let names = text.split('"').filter(|text| text.starts_with("bunraku_"));
        counted.extend(
            names.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')).map(str::to_owned),
        );
    }
    counted.insert("bunraku_build_info".to_owned());
    let listed: BTreeSet<_> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(counted, listed, "see src/telemetry/catalog.rs");
}

#[test]
fn the_documentation_lists_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let ours = |line: &&str| line.starts_with("| `bunraku_");
    let rendered: String = text.lines().filter(ours).map(|line| format!("{line}\n")).collect();
    if std::env::var_os("BUNRAKU_RENDER").is_some() {
        let head = text.lines().take_while(|line| !ours(line));
        let tail = text.lines().skip_while(|line| !ours(line)).skip_while(ours);
        let lines = |lines: &mut dyn Iterator<Item = &str>| lines.map(|line| format!("{line}\n")).collect::<String>();
        let (head, tail) = (lines(&mut head.into_iter()), lines(&mut tail.into_iter()));
        return std::fs::write(&path, head + &catalog::table() + &tail).unwrap();
    }
    assert_eq!(rendered, catalog::table(), "{} is not what the catalog renders: `make render`", path.display());
}

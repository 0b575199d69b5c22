//! Configuration: the shipped file, the documentation's table and the code agree; errors name file, line and key.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bunraku::config::{Config, keys::KEYS, template};
use serde_json::Value;

/// Compares the lines of a repository file that `ours` picks with what the code renders; with `BUNRAKU_RENDER` set
/// (`make render`), writes them instead, behind the lines that stand before.
fn assert_rendered(path: &str, expected: &str, ours: fn(&str) -> bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let rendered: String = text.lines().filter(|line| ours(line)).map(|line| format!("{line}\n")).collect();
    if std::env::var_os("BUNRAKU_RENDER").is_some() && rendered != expected {
        let head: String = text.lines().take_while(|line| !ours(line)).map(|line| format!("{line}\n")).collect();
        return std::fs::write(&path, head + expected).unwrap();
    }
    assert_eq!(rendered, expected, "{} is not what src/config/keys.rs renders: `make render`", path.display());
}

fn flatten(prefix: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, into);
            }
        }
        _ => into.push(prefix.to_owned()),
    }
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bunraku.yaml");
    std::fs::write(&path, text).unwrap();
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load_with(&path, variables)
        .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "DIR"))
}

#[test]
fn every_key_is_listed_once() {
    let mut keys = Vec::new();
    flatten("", &serde_json::to_value(Config::default()).unwrap(), &mut keys);
    let mut listed: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    keys.sort();
    listed.sort();
    assert_eq!(listed, keys);
}

#[test]
fn the_shipped_file_and_the_table_are_rendered_from_the_keys() {
    assert_rendered("config/bunraku.yaml", &template::render(&[]), |_| true);
    assert_rendered("docs/configuration.md", &template::table(), |line| line.starts_with('|'));
}

#[test]
fn the_commented_values_are_the_defaults() {
    let values: Vec<_> = KEYS.iter().map(|key| (key.path, key.default.to_owned())).collect();
    let spelled_out: Config = bunraku::config::yaml::parse(Path::new("x"), &template::render(&values)).unwrap();
    assert_eq!(spelled_out, Config::default());
    assert_eq!(
        bunraku::config::yaml::parse::<Config>(Path::new("x"), &template::render(&[])).map_err(|e| e.to_string()),
        Ok(Config::default()),
        "a file with empty sections is the default"
    );
}

#[test]
fn mistakes_are_named_with_file_line_and_key() {
    let unknown = load("server:\n  lisen: x\n", &[]).unwrap_err();
    assert!(unknown.starts_with("DIR/bunraku.yaml:2:") && unknown.contains("lisen"), "{unknown}");
    let duration = load("limits:\n  job_timeout: soon\n", &[]).unwrap_err();
    assert!(duration.starts_with("DIR/bunraku.yaml:2:") && duration.contains("'soon'"), "{duration}");
    let zero = load("limits:\n  concurrent_runs: 0\n", &[]).unwrap_err();
    assert_eq!(zero, "DIR/bunraku.yaml: limits.concurrent_runs must be at least 1");
    let long = load("limits:\n  connect_timeout: 300000y\n", &[]).unwrap_err();
    assert!(long.contains("limits.connect_timeout must not be more than"), "{long}");
    let short = load("limits:\n  status_timeout: 0s\n", &[]).unwrap_err();
    assert!(short.contains("limits.status_timeout must be at least 1s"), "{short}");
    let level = load("log:\n  level: loud\n", &[]).unwrap_err();
    assert!(level.contains("log.level") && level.contains("'loud'"), "{level}");
    let address = load("server:\n  listen: foo\n", &[]).unwrap_err();
    assert!(address.contains("server.listen 'foo'"), "{address}");
    let threads = load("engine:\n  threads: 0\n", &[]).unwrap_err();
    assert!(threads.contains("engine.threads must be at least 1"), "{threads}");
    let nobody = load("server:\n  max_connections: 0\n", &[]).unwrap_err();
    assert!(nobody.contains("server.max_connections must be at least 1"), "{nobody}");
    let order = load("limits:\n  job_timeout: 1m\n", &[]).unwrap_err();
    assert!(order.contains("limits.deploy_timeout"), "{order}");
    for dir in ["\"\"", "data"] {
        let own = load(&format!("backup:\n  dir: {dir}\n"), &[]).unwrap_err();
        assert!(own.contains("backup.dir") && own.contains("of its own"), "{own}");
    }
    let url = load("server:\n  public_url: http://x\n", &[]).unwrap_err();
    assert!(url.contains("server.public_url") && url.contains("http://x"), "{url}");
}

#[test]
fn variables_override_keys() {
    let config = load(
        "",
        &[
            ("BUNRAKU_LIMITS__CONCURRENT_RUNS", "3"),
            ("BUNRAKU_LIMITS__JOB_TIMEOUT", "12h"),
            ("BUNRAKU_SERVER__NAMES", "[\"a\",\"b\"]"),
            ("BUNRAKU_URL", "https://elsewhere"),
        ],
    )
    .unwrap();
    assert_eq!(config.limits.concurrent_runs, 3);
    assert_eq!(config.limits.job_timeout.as_secs(), 12 * 3600);
    assert_eq!(config.server.names, ["a", "b"]);
    let wrong = load("", &[("BUNRAKU_LIMITS__CONCURENT_RUNS", "3")]).unwrap_err();
    assert!(wrong.contains("BUNRAKU_LIMITS__CONCURENT_RUNS") && wrong.contains("no key"), "{wrong}");
    let kind = load("", &[("BUNRAKU_LIMITS__CONCURRENT_RUNS", "many")]).unwrap_err();
    assert!(kind.contains("BUNRAKU_LIMITS__CONCURRENT_RUNS"), "{kind}");
}

#[test]
fn paths_count_from_the_file() {
    let config = load("data_dir: here\nmodulepath: [/abs, rel]\n", &[]).unwrap();
    assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("here"));
    assert_eq!(config.modulepath[0], PathBuf::from("/abs"));
    assert!(config.modulepath[1].is_absolute() && config.modulepath[1].ends_with("rel"));
}

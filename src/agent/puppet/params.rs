//! The parameters of a Puppet run. Only flags from a list reach Puppet, only as whole arguments, never through a shell.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The names that may be given, each also as `--no-<name>`.
const ALLOWED: [&str; 25] = [
    "color",
    "configtimeout",
    "debug",
    "disable_warnings",
    "environment",
    "evaltrace",
    "filetimeout",
    "graph",
    "http_connect_timeout",
    "http_debug",
    "http_keepalive_timeout",
    "http_read_timeout",
    "log_level",
    "noop",
    "ordering",
    "pluginsync",
    "show_diff",
    "skip_tags",
    "splay",
    "strict_environment_mode",
    "tags",
    "trace",
    "use_cached_catalog",
    "usecacheonfailure",
    "waitforcert",
];

/// Always given by us: asking for them is fine, negating them is not.
const FORCED: [&str; 3] = ["onetime", "daemonize", "verbose"];

/// What a request may say.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::agent) struct PuppetParams {
    flags: Vec<String>,
    /// Accepted and ignored.
    #[serde(default, rename = "env")]
    _env: Vec<Value>,
    /// The orchestrator's job.
    #[serde(default)]
    pub(in crate::agent) job: Option<String>,
}

impl PuppetParams {
    /// Reads the parameters; the error says which one is wrong.
    pub(in crate::agent) fn read(params: &Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(params.clone())).map_err(|error| error.to_string())
    }
}

/// The flags that are passed on, or what is wrong with one of them in the words of pxp-module-puppet.
pub(super) fn check_flags(params: &PuppetParams) -> Result<Vec<String>, String> {
    const RECEIVED: &str = "The json received on STDIN";
    let mut checked = Vec::with_capacity(params.flags.len());
    if let Some(job) = params.job.as_ref().filter(|job| !is_plain(job)) {
        return Err(format!("{RECEIVED} contained characters not present in valid flags: {}", clipped(job)));
    }
    let mut value_may_follow = false;
    for flag in &params.flags {
        if !is_plain(flag) {
            return Err(format!("{RECEIVED} contained characters not present in valid flags: {}", clipped(flag)));
        }
        if !flag.starts_with('-') {
            if !value_may_follow {
                return Err(format!("{RECEIVED} included a value without a flag: {}", clipped(flag)));
            }
            value_may_follow = false;
            checked.push(flag.clone());
            continue;
        }
        value_may_follow = true;
        match classify(flag) {
            Flag::Passed => checked.push(flag.clone()),
            Flag::OurOwn => value_may_follow = false,
            Flag::Overrides => return Err(format!("{RECEIVED} overrides a default setting with: {}", clipped(flag))),
            Flag::Refused => return Err(format!("{RECEIVED} included a non-permitted flag: {}", clipped(flag))),
        }
    }
    Ok(checked)
}

/// The environment that the flags ask for; the last one counts, as for Puppet.
pub(super) fn environment(flags: &[String]) -> Option<&str> {
    let mut pairs = flags.windows(2).rev();
    pairs.find(|pair| pair[0] == "--environment" && !pair[1].starts_with('-')).map(|pair| pair[1].as_str())
}

enum Flag {
    Passed,
    OurOwn,
    Overrides,
    Refused,
}

fn classify(flag: &str) -> Flag {
    let Some(name) = flag.strip_prefix("--") else { return Flag::Refused };
    let positive = name.strip_prefix("no-");
    if ALLOWED.contains(&positive.unwrap_or(name)) {
        return Flag::Passed;
    }
    match positive {
        Some("daemonize") => Flag::OurOwn,
        Some(name) if FORCED.contains(&name) => Flag::Overrides,
        None if name == "daemonize" => Flag::Overrides,
        None if FORCED.contains(&name) => Flag::OurOwn,
        _ => Flag::Refused,
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:,.-".contains(&byte))
}

fn clipped(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn params(flags: &[&str]) -> PuppetParams {
        PuppetParams { flags: flags.iter().map(|flag| (*flag).to_owned()).collect(), _env: Vec::new(), job: None }
    }

    #[test]
    fn the_list_decides() {
        let good = ["--environment", "production", "--noop", "--no-use_cached_catalog", "--tags", "a,b::c"];
        assert_eq!(check_flags(&params(&good)).unwrap(), good);
        assert!(check_flags(&params(&["--onetime", "--no-daemonize", "--verbose"])).unwrap().is_empty());
        for (flags, words) in [
            (vec!["--server", "evil"], "included a non-permitted flag: --server"),
            (vec!["-d"], "included a non-permitted flag: -d"),
            (vec!["--no-verbose"], "overrides a default setting with: --no-verbose"),
            (vec!["--daemonize"], "overrides a default setting with: --daemonize"),
            (vec!["--tags=a"], "contained characters not present in valid flags: --tags=a"),
            (vec!["--tags", "a b"], "contained characters not present in valid flags: a b"),
            (vec!["--noop", "x", "y"], "included a value without a flag: y"),
            (vec!["file.pp"], "included a value without a flag: file.pp"),
        ] {
            let error = check_flags(&params(&flags)).unwrap_err();
            assert!(error.ends_with(words), "{error}");
        }
    }

    #[test]
    fn the_environment_is_read_from_the_flags() {
        let flags = |list: &[&str]| check_flags(&params(list)).unwrap();
        assert_eq!(environment(&flags(&["--noop", "--environment", "dev"])), Some("dev"));
        assert_eq!(environment(&flags(&["--noop"])), None);
    }

    #[test]
    fn params_have_a_shape() {
        let read = |value: Value| PuppetParams::read(value.as_object().unwrap());
        assert!(read(json!({"flags": [], "env": [], "job": "7"})).is_ok());
        for bad in [json!({}), json!({"flags": "x"}), json!({"flags": [], "job": 7}), json!({"flags": [], "x": 1})] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_only_listed_flags_pass(flags in proptest::collection::vec("(--(no-)?)?[a-z_=; ./-]{0,20}", 0..6)) {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            if let Ok(passed) = check_flags(&params(&flags)) {
                for (index, flag) in passed.iter().enumerate() {
                    match flag.strip_prefix("--") {
                        Some(name) => prop_assert!(ALLOWED.contains(&name.strip_prefix("no-").unwrap_or(name))),
                        None => prop_assert!(index > 0 && passed[index - 1].starts_with("--") && is_plain(flag)),
                    }
                }
            }
        }
    }
}

//! The files of `deploy/` against the binary: a path, port, flag or key that it does not know is found here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bunraku::agent::AgentConfig;
use bunraku::config::Config;
use serde_json::Value;
use tempfile::TempDir;

/// Where the binary and the configuration are on a machine that follows the files.
const PROGRAM: &str = "/usr/local/bin/bunraku";
const HOME: &str = "/etc/bunraku";

/// What a unit may set without Puppet inheriting a restriction of it.
const HARMLESS: [&str; 9] = [
    "Type",
    "ExecStart",
    "Restart",
    "RestartSec",
    "KillMode",
    "OOMPolicy",
    "TasksMax",
    "StateDirectory",
    "StateDirectoryMode",
];

fn deploy_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `key=value` lines of a unit, in order.
fn directives(unit: &str) -> Vec<(String, String)> {
    let text = deploy_file(unit);
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn directive(unit: &str, key: &str) -> String {
    let mut values = directives(unit).into_iter().filter(|(known, _)| known == key).map(|(_, value)| value);
    let value = values.next().unwrap_or_else(|| panic!("{unit} has no {key}"));
    assert_eq!(values.next(), None, "{unit} has {key} twice");
    value
}

/// Asserts that the real binary knows this command line: the commands by their help, the flags by its text.
fn assert_known(arguments: &[&str]) {
    let commands: Vec<&str> = arguments.iter().copied().take_while(|word| !word.starts_with(['-', '/'])).collect();
    assert!(!commands.is_empty(), "{arguments:?} names no command");
    let answer = Command::new(env!("CARGO_BIN_EXE_bunraku")).args(&commands).arg("--help").output().unwrap();
    assert!(answer.status.success(), "{commands:?}: {}", String::from_utf8_lossy(&answer.stderr));
    let help = String::from_utf8(answer.stdout).unwrap();
    for flag in arguments.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(flag), "`bunraku {}` has no {flag}:\n{help}", commands.join(" "));
    }
}

fn port(listen: &str) -> String {
    listen.rsplit_once(':').unwrap().1.to_owned()
}

fn default_ports() -> BTreeSet<String> {
    let config = Config::default();
    BTreeSet::from([port(&config.server.listen), port(&config.broker.listen)])
}

#[test]
fn units_start_what_the_binary_knows() {
    for (unit, file) in [("bunraku.service", "bunraku.yaml"), ("bunraku-agent.service", "agent.yaml")] {
        let start = directive(unit, "ExecStart");
        let words: Vec<&str> = start.split(' ').collect();
        assert_eq!(words[0], PROGRAM);
        assert_eq!(*words.last().unwrap(), format!("{HOME}/{file}"));
        assert_known(&words[1..]);
    }
}

#[test]
fn the_server_may_write_its_data_and_nothing_else() {
    let unit = "bunraku.service";
    let data = Path::new(HOME).join(Config::default().data_dir);
    assert_eq!(PathBuf::from(directive(unit, "ReadWritePaths")), data);
    assert_eq!(directive(unit, "ProtectSystem"), "strict");
    assert_eq!(directive(unit, "NoNewPrivileges"), "yes");
    assert_eq!(directive(unit, "InaccessiblePaths"), format!("-{HOME}/ca"));
    assert!(directive(unit, "ExecReload").contains("-HUP"));
    let wanted = Config::default().broker.max_connections as u64;
    let descriptors: u64 = directive(unit, "LimitNOFILE").parse().unwrap();
    assert!(descriptors > 2 * wanted, "{descriptors} descriptors for {wanted} sessions");
}

#[test]
fn nothing_in_the_agents_unit_binds_puppet() {
    let unit = "bunraku-agent.service";
    assert_eq!(directive(unit, "KillMode"), "process");
    let text = deploy_file(unit);
    let service = text.split("[Service]").nth(1).unwrap().split("[Install]").next().unwrap();
    let keys = service.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let bound: Vec<&str> = keys.map(|(key, _)| key).filter(|key| !HARMLESS.contains(key)).collect();
    assert!(bound.is_empty(), "Puppet would inherit {bound:?}");
    let state = Path::new("/var/lib").join(directive(unit, "StateDirectory"));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/agent.yaml");
    let config = AgentConfig::load(&shipped).unwrap();
    for path in [&config.spool_dir, &config.task_cache_dir] {
        assert!(path.starts_with(&state), "{} is not below {}", path.display(), state.display());
    }
}

#[test]
fn the_image_serves_on_the_ports_of_the_configuration() {
    let text = deploy_file("Dockerfile");
    let words = |instruction: &str| -> Vec<String> {
        let line = text.lines().rfind(|line| line.starts_with(&format!("{instruction} "))).unwrap();
        line[instruction.len()..].split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words("EXPOSE").into_iter().collect::<BTreeSet<_>>(), default_ports());
    let entry: Vec<String> = serde_json::from_str(&words("ENTRYPOINT").join(" ")).unwrap();
    assert_eq!(entry, [PROGRAM]);
    let command: Vec<String> = serde_json::from_str(&words("CMD").join(" ")).unwrap();
    assert_known(&command.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(text.contains(&format!("COPY --from=build /src/target/dist/bunraku {PROGRAM}")));

    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("[profile.dist]"), "the image is built with the profile `dist`");
    let needed = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(text.contains(&format!("FROM rust:{needed}-")), "the image is built with Rust {needed}");
}

#[test]
fn compose_uses_known_commands_keys_and_ports() {
    let compose: Value = serde_saphyr::from_str(&deploy_file("compose.yaml")).unwrap();
    let server = &compose["services"]["bunraku"];
    let command: Vec<&str> = server["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_known(&command);
    assert_eq!(*command.last().unwrap(), format!("{HOME}/bunraku.yaml"));
    let ports = server["ports"].as_array().unwrap().iter().map(|mapping| port(mapping.as_str().unwrap()));
    assert_eq!(ports.collect::<BTreeSet<_>>(), default_ports());
    assert_eq!(server["volumes"], compose["services"]["init"]["volumes"]);

    let init = compose["services"]["init"]["command"][0].as_str().unwrap();
    let init: Vec<&str> = init.split("exec bunraku ").nth(1).unwrap().split_whitespace().collect();
    assert_known(&init);
    assert_eq!(init[1], HOME);

    // Every variable is a key of the configuration, with a value that it takes.
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("bunraku.yaml");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/bunraku.yaml"), &config).unwrap();
    let variables = server["environment"].as_object().unwrap();
    let variables =
        variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value.as_str().unwrap())));
    Config::load_with(&config, variables).unwrap();
}

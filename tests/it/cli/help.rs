//! Help texts are what users read first; a change of one shows in review.

use super::run;

#[test]
fn help_texts() {
    for command in [
        "",
        "demo",
        "init",
        "serve",
        "agent",
        "job run",
        "job list",
        "job show",
        "job watch",
        "job stop",
        "task run",
        "task list",
        "task show",
        "node list",
        "token create",
        "token list",
        "token revoke",
        "ca issue",
        "ca revoke",
        "drain",
        "backup",
        "restore",
        "job resume",
        "job retry",
        "plan list",
        "plan show",
        "plan stop",
        "schedule puppet",
        "schedule task",
        "schedule list",
        "schedule show",
        "schedule enable",
        "schedule disable",
        "env list",
        "group list",
        "group nodes",
        "import pe-groups",
        "import pe-schedules",
        "login",
        "logout",
        "whoami",
        "user add",
        "user list",
        "user revoke",
        "user restore",
        "user password",
        "access can",
        "audit",
        "ledger verify",
        "swarm",
        "why",
        "completions",
        "man",
    ] {
        let mut arguments: Vec<_> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = run(&arguments);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{command}");
        assert!(help.stdout.contains("Example"), "{command} shows no example");
        let name = if command.is_empty() { "bunraku".to_owned() } else { command.replace(' ', "_") };
        insta::assert_snapshot!(name, help.stdout);
    }
}

#[test]
fn version() {
    let version = run(&["--version"]);
    assert_eq!((version.code, version.stdout.trim()), (0, concat!("bunraku ", env!("CARGO_PKG_VERSION"))));
}

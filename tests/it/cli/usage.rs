//! What makes no sense is refused with exit code 2 before anything is sent; a server that is not there is a 5.

use std::fs;
use std::net::TcpListener;

use super::{Ended, bunraku, run};

fn refused(arguments: &[&str]) -> String {
    let ended = run(arguments);
    assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{arguments:?}");
    ended.stderr
}

#[test]
fn nonsense_is_a_usage_error() {
    assert!(refused(&["job", "run"]).contains("--all"), "no target names the possible ones");
    let told = Ended::of(bunraku().args(["job", "run"]).env("BUNRAKU_TOKEN", "t").env("BUNRAKU_URL", "https://h"));
    assert!(
        !told.stderr.contains("--token") && !told.stderr.contains("--url"),
        "what is given is not asked for: {told:?}"
    );
    assert!(refused(&["job", "run", "--all", "-n", "a"]).contains("cannot be used with"));
    assert!(refused(&["job", "show", "forty-two"]).contains("'forty-two' is no job number"));
    assert!(refused(&["task", "run", "Not::A::Task", "-n", "a"]).contains("Not::A::Task"));
    assert!(refused(&["task", "run", "facts", "-n", "a", "word"]).contains("number 1 has no '='"));
    assert!(refused(&["job", "run", "-n", "a", "--timeout", "soon"]).contains("soon"));
    assert!(refused(&["demo", "--tour", "--nodes", "2"]).contains("3 nodes or more"));
    assert!(refused(&["no-such-command"]).contains("no-such-command"));
    assert!(refused(&["job", "list", "--format", "xml"]).contains("xml"));
    refused(&[]);
}

#[test]
fn unusable_settings_are_usage_errors() {
    assert!(refused(&["job", "list", "--url", "http://localhost"]).contains("https://"));
    assert!(refused(&["job", "list", "--ca", "/nonexistent/ca.pem"]).contains("/nonexistent/ca.pem"));
    assert!(refused(&["job", "list", "--token-file", "/nonexistent/token"]).contains("/nonexistent/token"));
}

#[test]
fn unusable_configurations_are_usage_errors() {
    for command in ["serve", "agent"] {
        assert!(refused(&[command, "--config", "/nonexistent.yaml"]).contains("/nonexistent.yaml"));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "no_such_key: 1\n").unwrap();
        let error = refused(&[command, "--config", file.path().to_str().unwrap()]);
        assert!(error.contains("no_such_key") && error.contains(file.path().to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_taken_port_is_a_usage_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    assert_eq!(run(&["init", site.to_str().unwrap()]).code, 0);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for listen in ["BUNRAKU_SERVER__LISTEN", "BUNRAKU_BROKER__LISTEN"] {
        let mut serve = bunraku();
        serve.args(["serve", "--config"]).arg(site.join("bunraku.yaml"));
        serve.env("BUNRAKU_SERVER__LISTEN", "127.0.0.1:0").env("BUNRAKU_BROKER__LISTEN", "127.0.0.1:0");
        let ended = Ended::of(serve.env(listen, &address));
        assert_eq!(ended.code, 2, "{listen}: {ended:?}");
        assert!(ended.stderr.contains(&address), "{ended:?}");
    }
}

#[test]
fn a_broken_client_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bunraku")).unwrap();
    fs::write(dir.path().join("bunraku/client.yaml"), "url: https://a\ncolour: red\n").unwrap();
    let ended = Ended::of(bunraku().env("XDG_CONFIG_HOME", dir.path()).args(["job", "list"]));
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("client.yaml") && ended.stderr.contains("colour"), "{ended:?}");
}

/// A port on which nobody listens: the listener that had it is gone.
fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("https://{}", listener.local_addr().unwrap())
}

#[test]
fn a_server_that_is_not_there_is_a_five() {
    let url = dead_url();
    let longest = ["drain", "--wait", "--timeout", "18446744073709551615"];
    for command in
        [&longest[..], &["node", "list"], &["job", "run", "-n", "a"], &["token", "list"], &["task", "show", "facts"]]
    {
        let ended = Ended::of(bunraku().args(command).args(["--url", &url]));
        assert_eq!((ended.code, ended.stdout.as_str()), (5, ""), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains(&url) && ended.stderr.contains("next:"), "{ended:?}");
    }
    let ended = Ended::of(bunraku().args(["node", "list", "--format", "json", "--url", &url]));
    let error: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!((ended.code, error["exit_code"].as_u64()), (5, Some(5)));
}

#[test]
fn groups_of_puppet_enterprise_are_taken_over_and_what_is_not_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (file, to) = (dir.path().join("export.json"), dir.path().join("groups"));
    let root = "00000000-0000-4000-8000-000000000000";
    let id = "10000000-0000-4000-8000-000000000001";
    let group = |id: &str, name: &str, rule: serde_json::Value| serde_json::json!({ "id": id, "name": name, "parent": root, "rule": rule, "classes": { "apache": {} } });
    let good = group(id, "Web", serde_json::json!(["=", "name", "web1"]));
    std::fs::write(&file, serde_json::json!([group(root, "All Nodes", serde_json::json!(null)), good]).to_string())
        .unwrap();
    let import = || run(&["import", "pe-groups", file.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    let done = import();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("Web: ") && done.stderr.contains("not taken of Web: 1 class"), "{done:?}");
    let text = std::fs::read_to_string(to.join("web.yaml")).unwrap();
    assert_eq!(text, format!("id: {id}\nname: \"Web\"\nrule: [\"=\",\"name\",\"web1\"]\n"));
    std::fs::write(&file, serde_json::json!([group(id, "Web", serde_json::json!(["like", "name", "x"]))]).to_string())
        .unwrap();
    let refused = import();
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("'like' is no operator"), "{refused:?}");
    std::fs::write(&file, "{}").unwrap();
    let nonsense = import();
    assert_eq!(nonsense.code, 2);
    assert!(nonsense.stderr.contains("export.json: that is no export"), "{nonsense:?}");
}

#[test]
fn results_that_could_not_be_written_are_no_success() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = bunraku().args(["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the output could not be written: No space left on device"), "{said}");
}

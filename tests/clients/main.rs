//! The API as real clients use it: scripts in Ruby, Python and shell, with nothing but their standard libraries, each of
//! which calls it as one kind of client does and checks what that client relies on; and requests that schemathesis makes
//! up from our own description.
//!
//! They share one `bunraku demo`: a real service with real agents. What is not installed is said in plain words and
//! skipped; with `BUNRAKU_REQUIRE_ALL=1` that fails instead.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

mod site;

use std::path::Path;
use std::process::Command;

use self::site::Site;

/// Whether a program can be run, after saying that it cannot.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        let missing = format!("{program} is not installed: what needs it is skipped");
        assert!(std::env::var_os("BUNRAKU_REQUIRE_ALL").is_none(), "{missing}");
        eprintln!("{missing}");
    }
    found
}

fn play(interpreter: &str, script: &str) {
    if !has(if interpreter == "sh" { "curl" } else { interpreter }) {
        return;
    }
    let site = Site::shared();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts").join(script);
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(interpreter);
    command.arg(path).current_dir(place.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = site.tell(&mut command).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{script}: {}\n{said}\n{}", output.status, site.log());
}

macro_rules! clients {
    ($($name:ident: $interpreter:literal $script:literal;)*) => {$(
        #[test]
        fn $name() {
            play($interpreter, $script);
        }
    )*};
}

clients! {
    the_official_ruby_client: "ruby" "orchestrator_client.rb";
    bolt_over_pcp: "ruby" "bolt.rb";
    the_client_of_every_endpoint: "ruby" "pe_client.rb";
    forwarding_of_events: "ruby" "event_forwarding.rb";
    the_relay_agent: "ruby" "relay.rb";
    the_go_client: "python3" "go_client.py";
    the_jenkins_plugin: "python3" "jenkins.py";
    the_powershell_module: "python3" "powershell.py";
    the_command_line_of_puppet_enterprise: "python3" "job_cli.py";
    the_deployment_module: "sh" "peadm.sh";
    small_scripts: "sh" "small_scripts.sh";
}

/// What a made-up request could end the others with.
const NOT_FOR_STRANGERS: &str = "/session|/password|/tokens/|/drain|/docs/|file_content";

#[test]
fn no_made_up_request_is_answered_against_the_description() {
    let schemathesis = std::env::var("SCHEMATHESIS").unwrap_or_else(|_| "schemathesis".to_owned());
    if !has(&schemathesis) {
        return;
    }
    let site = Site::start();
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(schemathesis);
    command.current_dir(place.path()).args(["run", &format!("{}/orchestrator/v1/openapi.json", site.url)]);
    command.arg(format!("--tls-verify={}", site.ca)).args(["-H", &format!("X-Authentication: {}", site.token)]);
    command.args(["--exclude-path-regex", NOT_FOR_STRANGERS, "--max-examples", "15", "--seed", "1", "--no-color"]);
    command.args(["--suppress-health-check", "all"]);
    // Not: whether all valid data is accepted, for nobody can say in a schema which nodes there are.
    command.args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
         negative_data_rejection,unsupported_method,ignored_auth",
    ]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&output.stderr), site.log());
    let tail: Vec<&str> = said.lines().rev().take(12).collect();
    println!("{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
}

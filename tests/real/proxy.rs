//! The samples of `docs/operations.md` for proxies, each in the real program: events flow, headers arrive, metrics do not.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::TURN;
use crate::lab::Lab;
use crate::pages::free_port;
use crate::production;
use crate::service::{Service, until};

/// Longer than an event takes; a proxy that holds it back does so for good, since the stream does not end.
const FLOWS: Duration = Duration::from_secs(60);

/// A proxy that ends with the test.
struct Proxy {
    process: Child,
    port: u16,
    _place: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // With its workers, which would wait for streams to end. An error says that it has ended already.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

/// The sample in this language, with its names and files replaced by those of the lab; and what it listens on.
fn sample(language: &str, lab: &Lab, service: &Service, place: &Path) -> (String, u16) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    let (text, _) = rest.split_once("```\n").unwrap();
    let name = std::env::var("PUPPET_LAB_CERTNAME").unwrap();
    let ssl = lab.orchestrator_ssl();
    let (cert, key) = (ssl.join(format!("certs/{name}.pem")), ssl.join(format!("private_keys/{name}.pem")));
    let both = place.join("both.pem");
    fs::write(&both, fs::read_to_string(&cert).unwrap() + &fs::read_to_string(&key).unwrap()).unwrap();
    let port = free_port();
    let text = [
        ("listen 443", format!("listen 127.0.0.1:{port}")),
        ("*:443", format!("127.0.0.1:{port}")),
        ("bind :443", format!("bind 127.0.0.1:{port}")),
        ("bind :8142", format!("bind 127.0.0.1:{}", free_port())),
        ("orch.example.com:8143", format!("localhost:{}", service.port())),
        ("orch.example.com:8142", format!("localhost:{}", service.broker_port())),
        ("orch.example.com", "localhost".to_owned()),
        ("/etc/ssl/api-with-key.pem", both.display().to_string()),
        ("/etc/ssl/api.pem", cert.display().to_string()),
        ("/etc/ssl/api.key", key.display().to_string()),
        ("/etc/bunraku", service.directory().display().to_string()),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (page, here)| text.replace(page, &here));
    (text, port)
}

/// Starts a program in the foreground with this configuration, and waits until it listens.
async fn start(place: TempDir, port: u16, program: &str, arguments: &[&str], configuration: &str) -> Proxy {
    let file = place.path().join("proxy.conf");
    fs::write(&file, configuration).unwrap();
    let file = file.display().to_string();
    let arguments = arguments.iter().map(|argument| argument.replace("FILE", &file));
    let mut command = Command::new(program);
    let process = command.args(arguments).stdin(Stdio::null()).process_group(0).spawn().unwrap();
    let proxy = Proxy { process, port, _place: place };
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    until(&format!("{program} listens"), Duration::from_secs(30), listens).await;
    proxy
}

/// What clients rely on, through a proxy at this port.
async fn serves(proxy: &Proxy, lab: &Lab, service: &Service) {
    let api = service.api_at(proxy.port);
    let node = lab.node(1);
    let mut all = api.stream("/bunraku/v1/events", None).await;
    let body = json!({"environment": "production", "noop": true, "scope": {"nodes": [node]}});
    let (first, second) = (api.once("deploy", &body, "a key").await, api.once("deploy", &body, "a key").await);
    assert_eq!(first, second, "the key has arrived");
    // That stream goes on for ever: what is read of it was not held back until its end.
    let mut ids = Vec::new();
    let read = async {
        loop {
            let event = all.next().await;
            ids.push(event["id"].as_str().unwrap().to_owned());
            if event["type"] == "job_finished" {
                return;
            }
        }
    };
    assert!(tokio::time::timeout(FLOWS, read).await.is_ok(), "the end of the job never came: {ids:?}");
    assert!(ids.len() > 2, "{ids:?}");
    let mut resumed = api.stream("/bunraku/v1/events", Some(&ids[0])).await;
    assert_eq!(resumed.next().await["id"].as_str(), Some(ids[1].as_str()), "Last-Event-ID has arrived");
    let (status, _) = api.call(Method::GET, "/metrics", None).await;
    assert_ne!(status, StatusCode::OK, "metrics are for bunraku's own machine");
    let job: Value = api.get(&format!("/orchestrator/v1/jobs/{first}")).await;
    let id = job["id"].as_str().unwrap();
    assert!(id.starts_with("https://localhost"), "links are of a name that is ours: {id}");
}

#[tokio::test]
async fn nginx_lets_events_flow() {
    let Some(lab) = Lab::with("nginx") else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &[lab.node(1)]).await;
    let place = tempfile::tempdir().unwrap();
    let (server, port) = sample("nginx", &lab, &service, place.path());
    let root = place.path().display().to_string();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {root}/{kind};\n"))
        .concat();
    let whole = format!(
        "daemon off;\nuser root;\npid {root}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{server}}}\n"
    );
    let proxy = start(place, port, "/usr/sbin/nginx", &["-e", "stderr", "-c", "FILE"], &whole).await;
    serves(&proxy, &lab, &service).await;
}

#[tokio::test]
async fn httpd_lets_events_flow() {
    let Some(lab) = Lab::with("apache2") else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let mut service = Service::start(&lab, &production(&lab));
    service.connect(&lab, &[lab.node(1)]).await;
    let place = tempfile::tempdir().unwrap();
    let (host, port) = sample("apache", &lab, &service, place.path());
    let root = place.path().display().to_string();
    let modules: String = ["mpm_event", "authz_core", "socache_shmcb", "ssl", "proxy", "proxy_http"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let whole = format!(
        "{modules}ServerName localhost\nPidFile {root}/pid\nDefaultRuntimeDir {root}\nUser www-data\nGroup www-data\n\
         ErrorLog {root}/log\nLogLevel error\nMutex flock:{root}\nListen 127.0.0.1:{port}\n{host}"
    );
    let proxy = start(place, port, "/usr/sbin/apache2", &["-DFOREGROUND", "-f", "FILE"], &whole).await;
    serves(&proxy, &lab, &service).await;
}

#[tokio::test]
async fn haproxy_lets_events_flow_and_nodes_connect() {
    let Some(lab) = Lab::with("haproxy") else { return };
    let _turn = TURN.lock().await;
    lab.reset();
    let mut service = Service::start(&lab, &production(&lab));
    let place = tempfile::tempdir().unwrap();
    let (both, port) = sample("haproxy", &lab, &service, place.path());
    let broker = both.lines().filter_map(|line| line.trim().strip_prefix("bind 127.0.0.1:")).nth(1).unwrap().to_owned();
    let whole = format!("global\n  log stderr format raw local0 notice\n\n{both}");
    let proxy = start(place, port, "/usr/sbin/haproxy", &["-db", "-f", "FILE"], &whole).await;
    service.connect_by(&lab, &[lab.node(1)], &broker).await;
    serves(&proxy, &lab, &service).await;
}

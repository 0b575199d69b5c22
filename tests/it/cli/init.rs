//! `init` and `ca`: what they make, with which modes, and what they refuse to touch.

use std::fs;
use std::path::{Path, PathBuf};

use bunraku::config::Config;
use bunraku::tls::{self, ReloadableVerifier, TlsPaths};

use super::{mode, run};
use crate::support::ca::TestCa;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Everything below a directory with its mode, sorted.
fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            lines.push(format!("{:o} {}", mode(&path), path.strip_prefix(dir).unwrap().display()));
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    lines.sort_by_key(|line| line.split_once(' ').unwrap().1.to_owned());
    lines
}

#[test]
fn init_makes_a_complete_directory() {
    tls::install_provider();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("made/by/init");
    let ended = run(&["init", text(&dir), "--name", "orch.example.com", "--name", "127.0.0.1", "--format", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let made = ended.json();
    assert_eq!(made["names"], serde_json::json!(["orch.example.com", "127.0.0.1"]));
    let config_path = PathBuf::from(made["config"].as_str().unwrap());
    assert_eq!(config_path, dir.join("bunraku.yaml"));

    let expected = [
        "644 access.yaml",
        "644 bunraku.yaml",
        "700 ca",
        "644 ca/cert.pem",
        "600 ca/inventory",
        "600 ca/key.pem",
        "700 data",
        "755 environments",
        "644 environments/production.yaml",
        "755 modules",
        "755 ssl",
        "644 ssl/ca.pem",
        "644 ssl/cert.pem",
        "644 ssl/crl.pem",
        "600 ssl/key.pem",
        "600 token",
    ];
    let found: Vec<_> = listing(&dir).into_iter().filter(|line| !line.contains(" data/")).collect();
    assert_eq!(found, expected);

    let config = Config::load_with(&config_path, []).unwrap();
    assert_eq!(config.server.names, ["orch.example.com", "127.0.0.1"]);
    let paths = config.tls_paths();
    let verifier = ReloadableVerifier::load(&paths, true).unwrap();
    tls::server_config(&paths, verifier).unwrap();
    let token = fs::read_to_string(dir.join("token")).unwrap();
    assert_eq!(token.trim().len(), 43, "256 bits as base64url");
    assert!(!ended.stdout.contains(token.trim()), "the token is in its file only");
}

#[test]
fn init_touches_nothing_that_exists() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("dir");
    assert_eq!(run(&["init", text(&dir)]).code, 0);
    let before = listing(&dir);
    let again = run(&["init", text(&dir)]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("initialized already") && again.stderr.contains(text(&dir)), "{again:?}");
    assert_eq!(listing(&dir), before);

    let foreign = temp.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("token"), "somebody else's").unwrap();
    assert_eq!(run(&["init", text(&foreign)]).code, 2);
    assert_eq!(listing(&foreign), ["644 token"]);
}

#[test]
fn a_failed_init_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("dir");
    let ended = run(&["init", text(&dir), "--name", "not a name"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("'not a name'"), "{ended:?}");
    assert!(!dir.exists());
}

/// A directory as Puppet has it, with the key and the certificate of each of these names.
fn puppet_ssldir(dir: &Path, ca: &TestCa, names: &[&str]) {
    for part in ["certs", "private_keys"] {
        fs::create_dir_all(dir.join(part)).unwrap();
    }
    for name in names {
        let paths = ca.issue(name);
        fs::copy(&paths.cert, dir.join(format!("certs/{name}.pem"))).unwrap();
        fs::copy(&paths.key, dir.join(format!("private_keys/{name}.pem"))).unwrap();
        fs::copy(&paths.ca, dir.join("certs/ca.pem")).unwrap();
        fs::copy(paths.crl.unwrap(), dir.join("crl.pem")).unwrap();
    }
}

#[test]
fn with_puppets_ssldir_nothing_is_signed_and_renewals_are_seen() {
    tls::install_provider();
    let (temp, ca) = (tempfile::tempdir().unwrap(), TestCa::new());
    let ssldir = temp.path().join("puppet");
    puppet_ssldir(&ssldir, &ca, &["orch.example.com"]);
    let dir = temp.path().join("dir");
    let ended = run(&["init", text(&dir), "--ssldir", text(&ssldir)]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!dir.join("ca").exists());
    let paths = Config::load_with(&dir.join("bunraku.yaml"), []).unwrap().tls_paths();
    let chain = tls::read_certificates(&paths.cert).unwrap();
    assert_eq!(tls::common_name(&chain[0]).unwrap().as_str(), "orch.example.com");
    fs::write(ssldir.join("crl.pem"), "renewed").unwrap();
    assert_eq!(fs::read_to_string(paths.crl.unwrap()).unwrap(), "renewed");
    assert_eq!(run(&["ca", "issue", "web1", "--dir", text(&dir)]).code, 2, "there is no CA to issue from");
}

#[test]
fn init_with_a_puppetserver_leaves_the_environments_to_it() {
    tls::install_provider();
    let (temp, ca) = (tempfile::tempdir().unwrap(), TestCa::new());
    let (ssldir, dir) = (temp.path().join("puppet"), temp.path().join("dir"));
    puppet_ssldir(&ssldir, &ca, &["orch.example.com"]);
    let init = |more: &[&str]| run(&[&["init", text(&dir)], more].concat());
    let (server, pdb) = ("https://puppet.example.com:8140", "https://puppetdb.example.com:8081");
    assert_eq!(init(&["--puppetserver", server]).code, 2, "it would not know our certificate");
    let plain = init(&["--ssldir", text(&ssldir), "--puppetserver", "http://puppet.example.com:8140"]);
    assert!(plain.code == 2 && plain.stderr.contains("must begin with https://"), "{plain:?}");
    let ended = init(&["--ssldir", text(&ssldir), "--puppetserver", server, "--puppetdb", pdb]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let config = Config::load_with(&dir.join("bunraku.yaml"), []).unwrap();
    assert_eq!(config.puppetserver.url.unwrap().as_str().trim_end_matches('/'), server);
    assert_eq!(config.puppetdb.url.unwrap().as_str().trim_end_matches('/'), pdb);
    assert_eq!(fs::read_dir(dir.join("environments")).unwrap().count(), 0, "a file would hide puppetserver's own");
}

#[test]
fn an_ambiguous_or_incomplete_ssldir_is_refused() {
    let (temp, ca) = (tempfile::tempdir().unwrap(), TestCa::new());
    let ssldir = temp.path().join("puppet");
    let dir = temp.path().join("dir");
    let init = |more: &[&str]| {
        let mut arguments = vec!["init", text(&dir), "--ssldir", text(&ssldir)];
        arguments.extend(more);
        run(&arguments)
    };
    assert_eq!(init(&[]).code, 2, "it does not exist");
    puppet_ssldir(&ssldir, &ca, &["a.example.com", "b.example.com"]);
    let ambiguous = init(&[]);
    assert!(ambiguous.code == 2 && ambiguous.stderr.contains("a.example.com, b.example.com"), "{ambiguous:?}");
    fs::remove_file(ssldir.join("crl.pem")).unwrap();
    let incomplete = init(&["--name", "b.example.com"]);
    assert!(incomplete.code == 2 && incomplete.stderr.contains("crl.pem"), "{incomplete:?}");
    assert!(!dir.exists());
    puppet_ssldir(&ssldir, &ca, &["b.example.com"]);
    assert_eq!(init(&["--name", "b.example.com"]).code, 0);
}

#[test]
fn ca_issues_certificates_that_the_service_accepts() {
    tls::install_provider();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("dir");
    assert_eq!(run(&["init", text(&dir)]).code, 0);
    let ended = run(&["ca", "issue", "web1.example.com", "--dir", text(&dir), "--format", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let issued = ended.json();
    let path = |key: &str| PathBuf::from(issued[key].as_str().unwrap());
    let paths = TlsPaths { cert: path("cert"), key: path("key"), ca: path("ca"), crl: Some(path("crl")) };
    assert!([&paths.cert, &paths.key, &paths.ca].into_iter().all(|path| path.is_absolute()));
    assert_eq!(mode(&paths.key), 0o600);
    let chain = tls::read_certificates(&paths.cert).unwrap();
    assert_eq!(tls::common_name(&chain[0]).unwrap().as_str(), "web1.example.com");
    tls::client_config(&paths).unwrap();
    let server = Config::load_with(&dir.join("bunraku.yaml"), []).unwrap().tls_paths();
    assert!(ReloadableVerifier::load(&server, true).unwrap().accepts(&chain));

    assert_eq!(run(&["ca", "revoke", "web9.example.com", "--dir", text(&dir)]).code, 2, "it has none");
    let revoked = run(&["ca", "revoke", "web1.example.com", "--dir", text(&dir)]);
    assert!(revoked.code == 0 && revoked.stdout.contains("1 certificate is revoked"), "{revoked:?}");
    assert!(!ReloadableVerifier::load(&server, true).unwrap().accepts(&chain));
    assert_eq!(mode(&dir.join("ssl/crl.pem")), 0o644);
    let out = temp.path().join("renewed");
    let own = ["ca", "issue", "orch.example.com", "--name", "localhost", "--dir", text(&dir), "--out", text(&out)];
    assert_eq!(run(&own).code, 0);
    let chain = tls::read_certificates(&out.join("cert.pem")).unwrap();
    assert!(ReloadableVerifier::load(&server, true).unwrap().accepts(&chain));

    let again = run(&["ca", "issue", "web1.example.com", "--dir", text(&dir)]);
    assert!(again.code == 2 && again.stderr.contains("exists already"), "{again:?}");
    assert_eq!(run(&["ca", "issue", "no name", "--dir", text(&dir)]).code, 2);
    assert_eq!(run(&["ca", "issue", "web2", "--dir", "/nonexistent"]).code, 2);
}

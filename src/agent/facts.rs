//! A few facts of the node, told to the broker at each connect: for rules of groups where no PuppetDB knows more.
//!
//! They are read from files, never by running Facter or any other program: thousands of agents may connect at once. Names
//! and values are those that Facter has for the same things.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The most bytes of all facts, which travel in the head of a request.
const MAX_BYTES: usize = 4 * 1024;
/// The largest file of external facts that is read.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The facts as the header of an upgrade request has them; without external ones where those are too many.
pub(super) fn header(dirs: &[PathBuf]) -> String {
    let own = own();
    let mut all = own.clone();
    all.extend(external(dirs));
    let mut text = Value::Object(all).to_string();
    if text.len() > MAX_BYTES {
        tracing::warn!(
            bytes = text.len(),
            most = MAX_BYTES,
            "external facts are too many to be told to the orchestrator"
        );
        text = Value::Object(own).to_string();
    }
    STANDARD.encode(text)
}

fn own() -> Map<String, Value> {
    let system = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let hardware = text(system.machine());
    let name = text(system.nodename());
    let domain = name.split_once('.').map(|(_, domain)| domain.to_owned());
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let facts = json!({
        "kernel": text(system.sysname()),
        "kernelrelease": text(system.release()),
        "os": operating_system(&release, &hardware),
        "networking": { "hostname": name.split('.').next(), "fqdn": name, "domain": domain },
        "processors": { "count": std::thread::available_parallelism().map_or(1, usize::from) },
    });
    facts.as_object().cloned().unwrap_or_default()
}

/// `os` as Facter has it, from the text of `/etc/os-release`.
fn operating_system(release: &str, hardware: &str) -> Value {
    let key = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    let id = key("ID").unwrap_or_default();
    let (name, family) = match id.as_str() {
        "debian" => ("Debian", "Debian"),
        "ubuntu" => ("Ubuntu", "Debian"),
        "rhel" => ("RedHat", "RedHat"),
        "centos" => ("CentOS", "RedHat"),
        "rocky" => ("Rocky", "RedHat"),
        "almalinux" => ("AlmaLinux", "RedHat"),
        "fedora" => ("Fedora", "RedHat"),
        "amzn" => ("Amazon", "RedHat"),
        "ol" => ("OracleLinux", "RedHat"),
        "sles" => ("SLES", "Suse"),
        "opensuse-leap" | "opensuse-tumbleweed" => ("OpenSuSE", "Suse"),
        "arch" => ("Archlinux", "Archlinux"),
        "alpine" => ("Alpine", "Linux"),
        _ => ("Linux", "Linux"),
    };
    let version = key("VERSION_ID");
    let major = version.as_ref().and_then(|version| version.split('.').next()).map(str::to_owned);
    let architecture = match (hardware, family) {
        ("x86_64", "Debian") => "amd64",
        ("aarch64", "Debian") => "arm64",
        (hardware, _) => hardware,
    };
    json!({
        "name": name, "family": family, "architecture": architecture, "hardware": hardware,
        "release": { "full": version, "major": major },
    })
}

/// Static external facts, of files with `key=value` lines, YAML or JSON. A later file goes before an earlier one.
fn external(dirs: &[PathBuf]) -> Map<String, Value> {
    let mut facts = Map::new();
    for dir in dirs {
        let mut files: Vec<PathBuf> =
            fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files {
            match read(&file) {
                Ok(found) => facts.extend(found),
                Err(problem) => tracing::warn!(file = %file.display(), problem, "external facts cannot be read"),
            }
        }
    }
    // Only a certificate can say that.
    facts.remove("trusted");
    facts
}

fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let Some(ending @ ("txt" | "yaml" | "json")) = path.extension().and_then(|ending| ending.to_str()) else {
        return Ok(Map::new());
    };
    if fs::metadata(path).map_err(|error| error.to_string())?.len() > MAX_FILE_BYTES {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    match ending {
        "json" => serde_json::from_str(&text).map_err(|error| error.to_string()),
        "yaml" => serde_saphyr::from_str(&text).map_err(|error| error.without_snippet().to_string()),
        _ => Ok(text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), Value::from(value.trim())))
            .collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(header: &str) -> Value {
        serde_json::from_slice(&STANDARD.decode(header).unwrap()).unwrap()
    }

    #[test]
    fn a_node_tells_what_its_files_say() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("a.txt", "role=web\n\nnonsense\nsite = eu=1\n");
        write("b.yaml", "role: db\ndeep: {rack: 7}\ntrusted: {extensions: {pp_role: admin}}\n");
        write("c.json", "{");
        write("d.sh", "#!/bin/sh\necho role=never\n");
        let told = facts(&header(&[dir.path().to_owned(), "/nonexistent".into()]));
        assert_eq!((&told["role"], &told["site"], &told["deep"]["rack"]), (&json!("db"), &json!("eu=1"), &json!(7)));
        assert_eq!((&told["kernel"], told.get("trusted")), (&json!("Linux"), None));
        write("e.json", &json!({ "large": "x".repeat(MAX_BYTES) }).to_string());
        let told = facts(&header(&[dir.path().to_owned()]));
        assert_eq!((told.get("large"), told.get("role")), (None, None), "what is too large takes the others along");
        assert_eq!(told["kernel"], "Linux");
    }

    #[test]
    fn systems_have_the_names_that_facter_gives_them() {
        let of = |release: &str| operating_system(release, "x86_64");
        let debian = of("PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n");
        assert_eq!((&debian["family"], &debian["architecture"]), (&json!("Debian"), &json!("amd64")));
        let rocky = of("ID=\"rocky\"\nVERSION_ID=\"9.4\"\n");
        let shown = (&rocky["family"], &rocky["name"], &rocky["release"]["major"], &rocky["architecture"]);
        assert_eq!(shown, (&json!("RedHat"), &json!("Rocky"), &json!("9"), &json!("x86_64")));
        assert_eq!(of("")["release"], json!({ "full": null, "major": null }));
    }
}

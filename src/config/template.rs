//! Renders `bunraku.yaml` (as shipped, and as `init` writes it) and the table of the documentation, both from the keys.

use std::fmt::Write as _;

use super::keys::{KEYS, Key};

/// Keys that are set rather than commented out, with their YAML text.
pub type Values<'a> = &'a [(&'a str, String)];

const HEAD: &str = "\
# Configuration of bunraku serve. Every key stands here with its default, commented out.
# Relative paths count from this file's directory. A variable overrides a key: BUNRAKU_LIMITS__JOB_TIMEOUT=12h.
# Unknown keys are refused. Durations: 30s, 5m, 1h 30m. Sizes: 500 KiB, 64 MiB.
";

/// The text of `bunraku.yaml` with these values set and every other key commented out.
#[must_use]
pub fn render(values: Values<'_>) -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        let (own_section, name) = key.path.split_once('.').unwrap_or(("", key.path));
        text.push('\n');
        if own_section != section {
            section = own_section;
            let _ = writeln!(text, "{section}:");
        }
        let indent = if section.is_empty() { "" } else { "  " };
        for line in comment(key) {
            let _ = writeln!(text, "{indent}# {line}");
        }
        let set = values.iter().find(|(path, _)| *path == key.path);
        let _ = match set {
            Some((_, value)) => writeln!(text, "{indent}{name}: {value}"),
            None => writeln!(text, "{indent}#{name}: {}", key.default),
        };
    }
    text
}

/// The table of `docs/configuration.md`.
#[must_use]
pub fn table() -> String {
    let mut text = "| key | default | in Puppet Enterprise | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for key in KEYS {
        let pe = if key.pe.is_empty() { String::new() } else { format!("`{}`", key.pe) };
        let reload = if key.reloads { " Applied by SIGHUP." } else { "" };
        let _ = writeln!(text, "| `{}` | `{}` | {pe} | {}{reload} |", key.path, key.default, key.help);
    }
    text
}

/// The comment above a key, wrapped.
fn comment(key: &Key) -> Vec<String> {
    const WIDTH: usize = 100;
    let pe = if key.pe.is_empty() { String::new() } else { format!(" Puppet Enterprise: {}.", key.pe) };
    let mut lines = vec![String::new()];
    for word in format!("{}{pe}", key.help).split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + word.len() < WIDTH {
            let _ = write!(last, " {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A YAML double-quoted text.
#[must_use]
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

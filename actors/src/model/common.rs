//! What a message has in common with those of other nodes: the node's own name and the numbers that differ from node to
//! node are taken out, so that equal troubles have equal texts and can be counted.
//!
//! It is careful rather than clever: exit codes, HTTP statuses, line numbers and versions stay, because they tell
//! troubles apart. It never judges what a message means.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::CertName;

/// What stands for the node's own name.
const NODE: &str = "<node>";
/// What stands for a number, an id or a time.
const NUMBER: &str = "<n>";
/// The most bytes of a common message; a longer one ends with `…`.
const LONGEST: usize = 400;
const CUT: &str = "…";

/// First labels that are words of nearly every message, whoever bears them as a name.
const ORDINARY: [&str; 5] = ["agent", "node", "puppet", "server", "task"];
/// Words before a number that names a process or a connection.
const BEFORE: [&str; 3] = ["pid", "port", "process"];
/// Words after a number that is a time span.
const AFTER: [&str; 12] =
    ["h", "hour", "hours", "min", "minute", "minutes", "ms", "milliseconds", "s", "sec", "second", "seconds"];

/// The parts of a message: what was replaced already, times, fingerprints, words, and blanks.
static PART: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z| ?[+-]\d{2}:?\d{2}| UTC)?";
    let date = r"\d{4}-\d{2}-\d{2}";
    let fingerprint = "(?:[[:xdigit:]]{2}:){5,}[[:xdigit:]]{2}";
    let pattern = [
        "(?-u)(?P<done><node>|<n>)",
        &format!(r"(?P<time>{fingerprint}\b|(?:{date}[T ])?{time}\b|{date}\b)"),
        r"(?P<word>\w+(?:[.-]+\w+)*)",
        r"(?P<blank>(?u:\s)+)",
    ]
    .join("|");
    Regex::new(&pattern).expect("our own pattern is well-formed")
});

/// A number glued to a time unit, a UUID, or a number in hexadecimal.
static ID: LazyLock<Regex> = LazyLock::new(|| {
    let span = r"\d+(?:\.\d+)?(?:ns|us|ms|s|m|h|d)";
    let uuid = r"[[:xdigit:]]{8}(?:-[[:xdigit:]]{4}){3}-[[:xdigit:]]{12}";
    Regex::new(&format!(r"^(?:{span}|{uuid}|0x[[:xdigit:]]+)$")).expect("our own pattern is well-formed")
});

/// The message as other nodes may have it too: the name of `node`, and its first label where it stands as a word, become
/// `<node>`; times, time spans, ids, and numbers of processes and ports become `<n>`. Blanks and line ends become one
/// blank. The result has [`LONGEST`] bytes at most, and is its own common message.
#[must_use]
pub fn common_message(node: &CertName, message: &str) -> String {
    let message = message.trim();
    let mut common = String::with_capacity(message.len().min(LONGEST));
    // The last place at which the text may end for `CUT` to fit behind it.
    let mut end = 0;
    let mut rest = 0;
    for parts in PART.captures_iter(message) {
        let part = parts.get(0).expect("a match has its whole");
        push_chars(&mut common, &mut end, &message[rest..part.start()]);
        rest = part.end();
        match (parts.name("time"), parts.name("word"), parts.name("blank")) {
            (Some(_), ..) => common.push_str(NUMBER),
            (_, Some(word), _) => {
                push_word(&mut common, node, word.as_str(), &message[..part.start()], &message[rest..])
            }
            (.., Some(_)) => common.push(' '),
            _ => common.push_str(part.as_str()),
        }
        if common.len() > LONGEST {
            break;
        }
        end = fitting(end, common.len());
    }
    if common.len() <= LONGEST {
        push_chars(&mut common, &mut end, &message[rest..]);
    }
    if common.len() > LONGEST {
        common.truncate(end);
        common.push_str(CUT);
    }
    common
}

/// Why a node did not finish, in words: what its run says of it, else the message of its end.
#[must_use]
pub fn reason_of<'a>(result: &'a Value, message: &'a str) -> &'a str {
    let told = result.pointer("/_error/msg").and_then(Value::as_str).map(str::trim);
    told.filter(|told| !told.is_empty()).unwrap_or(message)
}

/// What stands between parts may be cut anywhere.
fn push_chars(common: &mut String, end: &mut usize, text: &str) {
    for char in text.chars() {
        if common.len() > LONGEST {
            return;
        }
        common.push(char);
        *end = fitting(*end, common.len());
    }
}

fn fitting(end: usize, length: usize) -> usize {
    if length <= LONGEST - CUT.len() { length } else { end }
}

/// A word, which may be the node's name, a file named after it, or a number.
fn push_word(common: &mut String, node: &CertName, word: &str, before: &str, after: &str) {
    let name = node.as_str();
    let (mut word, mut before) = (word, before);
    // `web1.example.com.pem`: only where a name is too special to be the beginning of something else.
    while name.contains('.')
        && let Some((head, tail)) = word.split_at_checked(name.len())
        && head.eq_ignore_ascii_case(name)
        && let Some(tail) = tail.strip_prefix('.')
    {
        common.push_str(NODE);
        common.push('.');
        (word, before) = (tail, "");
    }
    common.push_str(if is_own_name(name, word) {
        NODE
    } else if differs(word, before, after) {
        NUMBER
    } else {
        word
    });
}

fn is_own_name(name: &str, word: &str) -> bool {
    let label = name.split('.').next().unwrap_or_default();
    let is_special =
        label.len() > 1 && label.bytes().any(|byte| byte.is_ascii_alphabetic()) && !is_one_of(&ORDINARY, label);
    word.eq_ignore_ascii_case(name) || (is_special && word.eq_ignore_ascii_case(label))
}

/// Whether a word is a number that says something about this node only.
fn differs(word: &str, before: &str, after: &str) -> bool {
    let is_hex = word.len() >= 8
        && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        && word.bytes().any(|byte| byte.is_ascii_digit());
    if is_hex || ID.is_match(word) {
        return true;
    }
    let mut halves = word.splitn(2, '.');
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !halves.all(is_digits) {
        return false;
    }
    let is_whole = !word.contains('.');
    let is_of_a_process = || word.len() >= 4 || is_one_of(&BEFORE, word_before(before));
    (is_whole && is_of_a_process()) || is_one_of(&AFTER, word_after(after))
}

fn is_one_of(words: &[&str], word: &str) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// The word at the end of a text, with a separator such as `: ` or `#` behind it.
fn word_before(text: &str) -> &str {
    let words = text.trim_end_matches(|char: char| char.is_whitespace() || ":=#".contains(char));
    let start = words.rfind(|char: char| !char.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    if words.len() == text.len() { "" } else { words.get(start..).unwrap_or_default() }
}

/// The word at the beginning of a text, behind blanks.
fn word_after(text: &str) -> &str {
    let words = text.trim_start();
    let end = words.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(words.len());
    if words.len() == text.len() { "" } else { &words[..end] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn common(node: &str, message: &str) -> String {
        common_message(&CertName::parse(node).unwrap(), message)
    }

    #[test]
    fn the_own_name_goes_wherever_it_is_the_nodes() {
        for (message, expected) in [
            ("Error running puppet on web1.example.com: exit 1", "Error running puppet on <node>: exit 1"),
            ("WEB1.Example.Com is not connected.", "<node> is not connected."),
            ("ssh: web1: no route (web1)", "ssh: <node>: no route (<node>)"),
            ("cannot read /ssl/certs/web1.example.com.pem", "cannot read /ssl/certs/<node>.pem"),
            (
                "web12.example.com, web1-old, web1_x, xweb1 and web1.example.org",
                "web12.example.com, web1-old, web1_x, xweb1 and web1.example.org",
            ),
        ] {
            assert_eq!(common("web1.example.com", message), expected);
        }
        assert_eq!(common("puppet.example.com", "puppet failed on puppet.example.com"), "puppet failed on <node>");
        assert_eq!(common("a", "a b a.b"), "<node> b a.b");
        assert_eq!(common("10.0.0.5", "exit code 10 of 10.0.0.5"), "exit code 10 of <node>");
    }

    #[test]
    fn what_differs_from_node_to_node_is_a_number() {
        for (message, expected) in [
            ("another run holds the lock (pid 412)", "another run holds the lock (pid <n>)"),
            ("Process: 7 died; port=80; PID 48213", "Process: <n> died; port=<n>; PID <n>"),
            (
                "10.0.3.17:54321 hung up after 3.42 seconds, 30s or 12 ms",
                "10.0.3.17:<n> hung up after <n> seconds, <n> or <n> ms",
            ),
            (
                "at 2026-03-01T12:00:05.123Z, 2026-03-01 12:00:05 +0000, 12:00:05 and 2026-03-01",
                "at <n>, <n>, <n> and <n>",
            ),
            ("run 0b0c8e0e-52b1-4a51-8f69-7f4d0e3a9a77 of 3f9a77be1c at 0x7ffe", "run <n> of <n> at <n>"),
            ("fingerprint 3A:4B:00:11:22:33:44", "fingerprint <n>"),
        ] {
            assert_eq!(common("web1", message), expected);
        }
    }

    #[test]
    fn what_tells_troubles_apart_stays() {
        for message in [
            "exit code 127",
            "Error 500 on SERVER: Server Error (file: /etc/site.pp, line: 12, column: 5)",
            "needs openssl 3.0.2-1ubuntu2 for php8.1",
            "a decade of facade and deadbeef",
            "port is taken; 3 of 7 resources failed",
        ] {
            assert_eq!(common("web1.example.com", message), message);
        }
    }

    #[test]
    fn it_is_one_line_of_bounded_length() {
        assert_eq!(common("web1", "  no\n\tspace \r\n left "), "no space left");
        let long = common("web1", &"disk full, ".repeat(1000));
        assert!(long.len() <= LONGEST && long.ends_with(CUT) && long.len() > LONGEST - 20, "{long}");
        assert_eq!(common("web1", &"x".repeat(LONGEST)), "x".repeat(LONGEST));
        assert_eq!(common("web1", &"x".repeat(LONGEST + 1)), CUT);
    }

    /// Texts of what the rules look at, in any order.
    fn texts() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "web1",
            "web1.example.com",
            "pem",
            "node",
            "n",
            "pid",
            "port ",
            "7",
            "12345",
            "3.5",
            "s",
            "ms",
            " seconds",
            "<",
            ">",
            "<n>",
            "<node>",
            ".",
            "-",
            ":",
            "_",
            " ",
            "\n",
            "2026-03-01",
            "T",
            "12:00:05",
            "+0000",
            "Z",
            "é",
            "0x",
            "deadbeef1",
            "…",
            ", ",
            "AA:",
            "0b0c8e0e-52b1-4a51-8f69-7f4d0e3a9a77",
        ]);
        let made = prop::collection::vec(pieces, 0..160).prop_map(|pieces| pieces.concat());
        prop_oneof![made, "\\PC{0,600}", any::<String>()]
    }

    fn names() -> impl Strategy<Value = String> {
        let known = ["web1.example.com", "web1", "n", "node", "pid", "s", "pem.x", "12345", "n.node", "x"];
        prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), "[!-~&&[^/*\"'\\\\]]{1,12}"]
    }

    proptest! {
        #[test]
        fn a_common_message_is_its_own_and_never_long(node in names(), message in texts()) {
            let once = common(&node, &message);
            prop_assert!(once.len() <= LONGEST);
            prop_assert!(!once.contains('\n'));
            prop_assert_eq!(common(&node, &once), once);
        }

        #[test]
        fn nodes_with_equal_troubles_have_equal_messages(pid in 1u32..5_000_000, seconds in 0u32..10_000, n in 0u32..100_000) {
            let name = format!("web{n}.example.com");
            let message = format!("{name}: lock of pid {pid} held for {seconds} seconds on web{n}");
            prop_assert_eq!(common(&name, &message), "<node>: lock of pid <n> held for <n> seconds on <node>");
        }
    }
}

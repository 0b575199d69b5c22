//! Bounds what is kept of a run's output, and says so where something was left out.

use serde_json::{Map, Value};

use crate::wire::cut::Cut;

/// Bytes that are kept of one sentence, name or id of an agent.
const TEXT: usize = 8 * 1024;
/// How many counters are kept of one run, and how long their names may be.
const COUNTERS: usize = 100;
const COUNTER_NAME: usize = 256;

/// Cuts a text that is no output: an error's description, a name, an id.
pub(super) fn short_text(text: String) -> String {
    Cut::parse(text).to(TEXT).into_text()
}

/// Keeps the counters of a run; whatever is none of them is no metric.
pub(super) fn numbers(metrics: Map<String, Value>) -> Map<String, Value> {
    let fits = |(name, value): &(String, Value)| value.is_number() && name.len() <= COUNTER_NAME;
    metrics.into_iter().filter(fits).take(COUNTERS).collect()
}

/// Keeps the beginning of a list, up to `limit` bytes of JSON text; also returns how many were left out.
pub(super) fn cut_list(mut list: Vec<Value>, limit: usize) -> (Vec<Value>, u64) {
    let mut room = limit;
    let kept = list.iter().take_while(|entry| match room.checked_sub(entry.to_string().len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    let kept = kept.count();
    let left_out = list.len() - kept;
    list.truncate(kept);
    (list, u64::try_from(left_out).unwrap_or(u64::MAX))
}

/// Cuts both outputs of a run so that together they keep at most `limit` bytes, the beginning of each. What the agent
/// says of the whole stays.
///
/// Standard error keeps at least a quarter of the room, if it needs it: that is where the reason stands.
pub(super) fn cut(stdout: String, stderr: String, limit: usize) -> (String, String) {
    let (stdout, stderr) = (Cut::parse(stdout), Cut::parse(stderr));
    let (out, err) = (stdout.text.len(), stderr.text.len());
    let for_stderr = err.min(limit.saturating_sub(out).max(limit / 4));
    (stdout.to(limit - for_stderr).into_text(), stderr.to(for_stderr).into_text())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_outputs_stay_and_long_ones_say_how_long_they_were() {
        assert_eq!(cut("ab".into(), "cd".into(), 4), ("ab".into(), "cd".into()));
        let (stdout, stderr) = cut("x".repeat(100), "why".into(), 40);
        assert_eq!(stdout, format!("{}\n… [cut by bunraku: 100 bytes in all]\n", "x".repeat(37)));
        assert_eq!(stderr, "why");
        let (stdout, stderr) = cut("ok".into(), "y".repeat(100), 40);
        assert_eq!((stdout.as_str(), stderr.contains("100 bytes in all")), ("ok", true));
    }

    #[test]
    fn the_agents_mark_stays_wherever_the_server_cuts() {
        let by_agent = Cut::of_bytes(&[b'z'; 40], 1000, false).into_text();
        for limit in [by_agent.len(), 41, 40] {
            let (stdout, _) = cut(by_agent.clone(), String::new(), limit);
            assert_eq!(stdout, by_agent, "at {limit}");
        }
        let (stdout, _) = cut(by_agent, String::new(), 30);
        assert_eq!(stdout, format!("{}\n… [cut by bunraku: 1000 bytes in all]\n", "z".repeat(30)));
    }

    /// The length of the beginning that was kept, and what is said of the whole.
    fn kept(cut: &str, whole: &str) -> (usize, usize) {
        if cut == whole {
            return (whole.len(), whole.len());
        }
        let (kept, told) = cut.rsplit_once("… [cut by bunraku: ").expect("what is cut says so");
        let told = told.split(' ').next().and_then(|number| number.parse().ok()).expect("a number of bytes");
        let kept = kept.strip_suffix('\n').unwrap_or(kept);
        assert!(whole.starts_with(kept));
        (kept.len(), told)
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_the_whole_is_told(stdout in "[ab\nä€]{0,60}", stderr in "[ab\nä€]{0,60}", limit in 0..200_usize) {
            let (short_out, short_err) = cut(stdout.clone(), stderr.clone(), limit);
            let ((out, out_told), (err, err_told)) = (kept(&short_out, &stdout), kept(&short_err, &stderr));
            prop_assert!(out + err <= limit);
            prop_assert_eq!((out_told, err_told), (stdout.len(), stderr.len()));
            let whole = stdout.len() + stderr.len() <= limit;
            prop_assert_eq!(short_out == stdout && short_err == stderr, whole);
        }
    }
}

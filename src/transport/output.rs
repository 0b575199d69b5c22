//! Bounds what is kept of a run's output, and says so where something was left out.

use serde_json::{Map, Value};

/// Bytes that are kept of one sentence, name or id of an agent.
const TEXT: usize = 8 * 1024;
/// How many counters are kept of one run, and how long their names may be.
const COUNTERS: usize = 100;
const COUNTER_NAME: usize = 256;

/// Cuts a text that is no output: an error's description, a name, an id.
pub(super) fn short_text(text: String) -> String {
    shorten(text, TEXT)
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

/// Cuts both outputs of a run so that together they keep at most `limit` bytes, the beginning of each.
///
/// Standard error keeps at least a quarter of the room, if it needs it: that is where the reason stands.
pub(super) fn cut(stdout: String, stderr: String, limit: usize) -> (String, String) {
    if stdout.len().saturating_add(stderr.len()) <= limit {
        return (stdout, stderr);
    }
    let for_stderr = stderr.len().min(limit.saturating_sub(stdout.len()).max(limit / 4));
    (shorten(stdout, limit - for_stderr), shorten(stderr, for_stderr))
}

fn shorten(mut text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let keep = text.floor_char_boundary(limit);
    let left_out = text.len() - keep;
    text.truncate(keep);
    if keep > 0 && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("… [cut by bunraku: {left_out} bytes left out]\n"));
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_outputs_stay_and_long_ones_say_what_is_missing() {
        assert_eq!(cut("ab".into(), "cd".into(), 4), ("ab".into(), "cd".into()));
        let (stdout, stderr) = cut("x".repeat(100), "why".into(), 40);
        assert_eq!(stdout, format!("{}\n… [cut by bunraku: 63 bytes left out]\n", "x".repeat(37)));
        assert_eq!(stderr, "why");
        let (stdout, stderr) = cut("ok".into(), "y".repeat(100), 40);
        assert_eq!((stdout.as_str(), stderr.contains("62 bytes left out")), ("ok", true));
    }

    /// The length of the beginning that was kept, and the number of bytes that the marker tells.
    fn kept(cut: &str, whole: &str) -> (usize, usize) {
        if cut == whole {
            return (whole.len(), 0);
        }
        let (_, told) = cut.rsplit_once("bunraku: ").expect("what is cut says so");
        let told = told.split(' ').next().and_then(|number| number.parse().ok()).expect("a number of bytes");
        let length = whole.len() - told;
        assert!(cut.starts_with(&whole[..length]));
        (length, told)
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_the_rest_is_counted(stdout in "[ab\nä€]{0,60}", stderr in "[ab\nä€]{0,60}", limit in 0..200_usize) {
            let (short_out, short_err) = cut(stdout.clone(), stderr.clone(), limit);
            let ((out, out_left), (err, err_left)) = (kept(&short_out, &stdout), kept(&short_err, &stderr));
            prop_assert!(out + err <= limit);
            prop_assert_eq!(out + err + out_left + err_left, stdout.len() + stderr.len());
            let whole = stdout.len() + stderr.len() <= limit;
            prop_assert_eq!(out_left + err_left == 0, whole);
        }
    }
}

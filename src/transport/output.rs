//! Bounds what is kept of a run's output, and says so where something was left out.

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

    proptest! {
        #[test]
        fn what_is_kept_fits_and_begins_alike(stdout in ".{0,60}", stderr in ".{0,60}", limit in 0..100_usize) {
            let (short, error) = cut(stdout.clone(), stderr.clone(), limit);
            let kept = |cut: &str, whole: &str| {
                if cut == whole { return whole.len() }
                let at = cut.rfind("… [cut by bunraku: ").expect("what is cut says so");
                let beginning = &cut[..at];
                beginning.strip_suffix('\n').filter(|b| whole.starts_with(b)).unwrap_or(beginning).len()
            };
            prop_assert!(kept(&short, &stdout) + kept(&error, &stderr) <= limit.max(stdout.len() + stderr.len()).min(limit + 2));
        }
    }
}

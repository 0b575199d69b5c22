//! Texts that were too long to keep: cut at their end, with a mark that says how much is missing.
//!
//! Agent and server cut by the same rule, one after the other: what was cut before is counted in, never cut away.

const BEFORE: &str = "… [cut by bunraku: ";
const AFTER: &str = " bytes left out]\n";

/// A text and what is known to be missing at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Without a mark.
    pub text: String,
    /// Bytes.
    pub left_out: u64,
}

impl Cut {
    /// A text as someone hands it over, who may have cut it.
    #[must_use]
    pub fn parse(mut text: String) -> Self {
        let left_out = marked(&text);
        if let Some((length, _)) = left_out {
            text.truncate(length);
        }
        Self { text, left_out: left_out.map_or(0, |(_, bytes)| bytes) }
    }

    /// Keeps at most `limit` bytes, whole characters only.
    #[must_use]
    pub fn to(mut self, limit: usize) -> Self {
        let keep = self.text.floor_char_boundary(limit);
        self.left_out += (self.text.len() - keep) as u64;
        self.text.truncate(keep);
        self
    }

    /// The text, with a mark on a line of its own where something is missing.
    #[must_use]
    pub fn into_text(self) -> String {
        let Self { mut text, left_out } = self;
        if left_out > 0 {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("{BEFORE}{left_out}{AFTER}"));
            text.shrink_to_fit();
        }
        text
    }
}

/// Where a mark begins that ends the text, and the number in it.
fn marked(text: &str) -> Option<(usize, u64)> {
    let number = text.strip_suffix(AFTER)?;
    let begin = number.rfind(BEFORE)?;
    let bytes = number[begin + BEFORE.len()..].parse().ok().filter(|bytes| *bytes > 0)?;
    if begin == 0 {
        return Some((0, bytes));
    }
    // The line end before the mark belongs to it.
    text[..begin].strip_suffix('\n').map(|kept| (kept.len(), bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let cut = |text: &str, limit| Cut::parse(text.to_owned()).to(limit).into_text();
        assert_eq!(cut("all of it", 9), "all of it");
        assert_eq!(cut("too much", 3), "too\n… [cut by bunraku: 5 bytes left out]\n");
        assert_eq!(cut("line\nmore", 5), "line\n\n… [cut by bunraku: 4 bytes left out]\n");
        assert_eq!(cut("aé!", 2), "a\n… [cut by bunraku: 3 bytes left out]\n", "no half characters");
        assert_eq!(cut("x", 0), "… [cut by bunraku: 1 bytes left out]\n");
        assert_eq!(cut("not [cut by bunraku: 7 bytes left out]\n", 99), "not [cut by bunraku: 7 bytes left out]\n");
    }

    proptest! {
        #[test]
        fn a_second_cut_counts_the_first_one_in(text in "[ab\nä€]{1,80}", first in 0..100_usize, second in 0..100_usize) {
            let once = Cut::parse(text.clone()).to(first).into_text();
            let Cut { text: kept, left_out } = Cut::parse(once).to(second);
            prop_assert!(text.starts_with(&kept) && kept.len() <= first.min(second));
            prop_assert_eq!(kept.len() + left_out as usize, text.len());
        }
    }
}

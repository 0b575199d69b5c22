//! Texts that could not be kept as they were: cut at their end, or repaired, with a mark that says so and how long the
//! whole was.
//!
//! Agent and server cut by the same rule, one after the other: the mark of the first is read by the second, never cut away.

const CUT: &str = "… [cut";
const REPAIRED: &str = "… [repaired";
const BY: &str = " by bunraku: ";
const AT_LEAST: &str = "at least ";
const IN_ALL: &str = " bytes in all";
const NOT_UTF8: &str = ", some of them not UTF-8";
const END: &str = "]\n";

/// A text, and what is known of the whole that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Without a mark.
    pub text: String,
    whole: Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Whole {
    /// Bytes, before anything was cut or replaced.
    bytes: u64,
    /// There were more of them, which nobody counted.
    or_more: bool,
    /// Something is missing at the end.
    is_cut: bool,
    /// Bytes that are not UTF-8 were replaced.
    is_repaired: bool,
}

impl Cut {
    /// The beginning of an output of which so many bytes were `written`, or more where `or_more`. A character that the cut
    /// goes through is left out; other bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn of_bytes(beginning: &[u8], written: u64, or_more: bool) -> Self {
        let is_cut = or_more || written > beginning.len() as u64;
        let kept = match std::str::from_utf8(beginning) {
            Err(error) if is_cut && error.error_len().is_none() => &beginning[..error.valid_up_to()],
            _ => beginning,
        };
        let text = String::from_utf8_lossy(kept);
        let is_repaired = matches!(text, std::borrow::Cow::Owned(_));
        Self { text: text.into_owned(), whole: Whole { bytes: written, or_more, is_cut, is_repaired } }
    }

    /// A text as someone hands it over, who may have marked it.
    #[must_use]
    pub fn parse(mut text: String) -> Self {
        let unmarked = Whole { bytes: text.len() as u64, or_more: false, is_cut: false, is_repaired: false };
        let (length, whole) = marked(&text).unwrap_or((text.len(), unmarked));
        text.truncate(length);
        Self { text, whole }
    }

    /// Keeps at most `limit` bytes, whole characters only.
    #[must_use]
    pub fn to(mut self, limit: usize) -> Self {
        let keep = self.text.floor_char_boundary(limit);
        self.whole.is_cut |= keep < self.text.len();
        self.text.truncate(keep);
        self
    }

    /// The text, with a mark on a line of its own where it is not the whole as it was.
    #[must_use]
    pub fn into_text(self) -> String {
        let Self { mut text, whole } = self;
        if whole.is_cut || whole.is_repaired {
            text.push_str(&whole.mark(text.is_empty()));
            text.shrink_to_fit();
        }
        text
    }
}

impl Whole {
    /// The mark, with the line end before it unless it begins the text.
    fn mark(self, begins: bool) -> String {
        let line_end = if begins { "" } else { "\n" };
        let what = if self.is_cut { CUT } else { REPAIRED };
        let at_least = if self.or_more { AT_LEAST } else { "" };
        let not_utf8 = if self.is_repaired { NOT_UTF8 } else { "" };
        format!("{line_end}{what}{BY}{at_least}{}{IN_ALL}{not_utf8}{END}", self.bytes)
    }

    /// Whether `kept` bytes can be what was kept of it. What merely looks like a mark belongs to the text.
    fn fits(self, kept: usize) -> bool {
        let kept = kept as u64;
        match (self.is_cut, self.is_repaired) {
            (true, true) => true,
            (true, false) => self.bytes > kept || self.or_more && self.bytes == kept,
            (false, is_repaired) => is_repaired && !self.or_more && self.bytes <= kept,
        }
    }
}

/// How much text stands before a mark that ends it, and what the mark says.
fn marked(text: &str) -> Option<(usize, Whole)> {
    let said = text.strip_suffix(END)?;
    let (said, is_repaired) = optional(said.strip_suffix(NOT_UTF8), said);
    let said = said.strip_suffix(IN_ALL)?;
    let (said, number) = said.rsplit_once(' ')?;
    let bytes = number.parse().ok()?;
    // The blank before the number belongs to what stands before it.
    let said = &text[..said.len() + 1];
    let (said, or_more) = optional(said.strip_suffix(AT_LEAST), said);
    let said = said.strip_suffix(BY)?;
    let (kept, is_cut) = match said.strip_suffix(CUT) {
        Some(kept) => (kept, true),
        None => (said.strip_suffix(REPAIRED)?, false),
    };
    let whole = Whole { bytes, or_more, is_cut, is_repaired };
    // The line end before the mark belongs to it.
    let length = kept.strip_suffix('\n').unwrap_or(kept).len();
    (whole.fits(length) && text[length..] == whole.mark(length == 0)).then_some((length, whole))
}

fn optional<'a>(stripped: Option<&'a str>, otherwise: &'a str) -> (&'a str, bool) {
    (stripped.unwrap_or(otherwise), stripped.is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let cut = |text: &str, limit| Cut::parse(text.to_owned()).to(limit).into_text();
        assert_eq!(cut("all of it", 9), "all of it");
        assert_eq!(cut("too much", 3), "too\n… [cut by bunraku: 8 bytes in all]\n");
        assert_eq!(cut("line\nmore", 5), "line\n\n… [cut by bunraku: 9 bytes in all]\n");
        assert_eq!(cut("aé!", 2), "a\n… [cut by bunraku: 4 bytes in all]\n", "no half characters");
        assert_eq!(cut("x", 0), "… [cut by bunraku: 1 bytes in all]\n");
    }

    #[test]
    fn what_only_looks_like_a_mark_is_text() {
        for text in [
            "not [cut by bunraku: 7 bytes in all]\n",
            "same line… [cut by bunraku: 70 bytes in all]\n",
            "fewer than here\n… [cut by bunraku: 7 bytes in all]\n",
            "x\n… [cut by bunraku: 007 bytes in all]\n",
            "x\n… [repaired by bunraku: 1 bytes in all]\n",
            "\n… [cut by bunraku: 7 bytes in all]\n",
        ] {
            let Cut { text: read, whole } = Cut::parse(text.to_owned());
            assert_eq!((read.as_str(), whole.bytes), (text, text.len() as u64));
        }
    }

    #[test]
    fn bytes_become_text_and_the_mark_says_how() {
        let text = |bytes: &[u8], written, or_more| Cut::of_bytes(bytes, written, or_more).into_text();
        assert_eq!(text(b"all of it", 9, false), "all of it");
        assert_eq!(text(b"too", 8, false), "too\n… [cut by bunraku: 8 bytes in all]\n");
        assert_eq!(text(b"too", 3, true), "too\n… [cut by bunraku: at least 3 bytes in all]\n");
        assert_eq!(text(&"aé!".as_bytes()[..2], 4, false), "a\n… [cut by bunraku: 4 bytes in all]\n");
        let repaired = text(b"a\xffb\xc3", 4, false);
        assert_eq!(repaired, "a\u{fffd}b\u{fffd}\n… [repaired by bunraku: 4 bytes in all, some of them not UTF-8]\n");
        let both = "a\n… [cut by bunraku: 4 bytes in all, some of them not UTF-8]\n";
        assert_eq!(Cut::parse(repaired).to(2).into_text(), both);
    }

    proptest! {
        #[test]
        fn what_cuts_later_reads_what_was_cut_before(
            bytes in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'\n'), Just(0xe2), Just(0x82), Just(0xac)], 0..40),
            beginning in 0..40_usize, or_more in any::<bool>(), limit in 0..60_usize,
        ) {
            let kept = &bytes[..beginning.min(bytes.len())];
            let once = Cut::of_bytes(kept, bytes.len() as u64, or_more);
            let read = Cut::parse(once.clone().into_text());
            prop_assert_eq!(&read, &once);
            let twice = read.to(limit);
            prop_assert!(once.text.starts_with(&twice.text) && twice.text.len() <= limit);
            prop_assert_eq!(twice.whole.bytes, bytes.len() as u64);
            prop_assert_eq!(twice.whole.is_cut, once.whole.is_cut || twice.text != once.text);
            prop_assert_eq!(Cut::parse(twice.clone().into_text()), twice);
        }
    }
}

//! The terminal that a person sits at: how large it is, which texts are safe to show on it, and questions to its user.

use std::io::{self, BufRead, IsTerminal, Write};

use tokio::sync::oneshot;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns and rows where a terminal does not tell them.
const USUAL: (usize, usize) = (80, 24);
/// What stands for the rest of a text that was cut.
const CUT: char = '…';

/// Columns and rows of the terminal behind standard output, or else standard error.
pub(crate) fn size() -> (usize, usize) {
    let asked = rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(rustix::stdio::stderr()));
    match asked {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (usize::from(size.ws_col), usize::from(size.ws_row)),
        Ok(_) | Err(_) => USUAL,
    }
}

/// Whether somebody can be asked: a person reads standard error and types into standard input.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and returns what was typed, without the line end; nothing when standard input has ended.
///
/// The line is read on a thread that nobody waits for: whoever stops waiting for the answer can leave at once.
pub(crate) async fn ask(question: &str) -> String {
    let _ = write!(io::stderr().lock(), "{question} ");
    let (sender, answer) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line.trim().to_owned());
    });
    answer.await.unwrap_or_default()
}

/// A text in one line: blanks for line ends, and without what a terminal would obey. Texts come from nodes, and a node
/// must not draw on its operator's terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // A control sequence ends with the first letter or other final byte.
            while chars.next().is_some_and(|part| !('@'..='~').contains(&part)) {}
        } else if char.is_whitespace() {
            if !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !char.is_control() {
            line.push(char);
        }
    }
    line.trim().to_owned()
}

/// A text with what a terminal would obey, line ends included, written out (`\\n`, `\\u{1b}`): nothing is lost that somebody
/// may have to look for.
pub(crate) fn escaped(text: &str) -> String {
    escaped_but(text, |_| false)
}

/// As [`escaped`], and line ends stay.
pub(crate) fn escaped_lines(text: &str) -> String {
    escaped_but(text, |char| char == '\n')
}

fn escaped_but(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        // Those that turn the direction of writing make a text look like another one.
        let turns = matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (char.is_control() || turns) && !stays(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// How many columns a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// A text of so many columns at most; one that was cut ends with `…`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let fitting = text.chars().take_while(|char| {
        used += char.width().unwrap_or_default();
        used < width
    });
    let mut kept = fitting.collect::<String>().trim_end().to_owned();
    if width > 0 {
        kept.push(CUT);
    }
    kept
}

/// As many of these names as fit into a line, and how many more there are.
pub(crate) fn some_of(names: &[String], all: u64, width: usize) -> String {
    let more = |shown: usize| match all.saturating_sub(shown as u64) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut line = String::new();
    for (shown, name) in names.iter().enumerate() {
        let longer = if shown == 0 { name.clone() } else { format!("{line}, {name}") };
        if shown > 0 && width_of(&longer) + width_of(&more(shown + 1)) > width {
            return format!("{line}{}", more(shown));
        }
        line = longer;
    }
    cut(&format!("{line}{}", more(names.len())), width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(one_line("\u{1b}[1;31mError:\u{1b}[0m no\r\n\tspace\u{7}  "), "Error: no space");
        assert_eq!(one_line("\u{1b}]0;title\u{7}x\u{9b}2J"), "]0;titlex2J");
    }

    #[test]
    fn names_are_shown_as_far_as_there_is_room() {
        let names = ["web1", "web2", "web3"].map(str::to_owned);
        assert_eq!(some_of(&names, 3, 80), "web1, web2, web3");
        assert_eq!(some_of(&names, 37, 80), "web1, web2, web3 and 34 more");
        assert_eq!(some_of(&names, 37, 23), "web1, web2 and 35 more");
        assert_eq!(some_of(&names, 37, 6), "web1 and 36 more");
        assert_eq!(some_of(&[], 0, 6), "");
    }

    #[test]
    fn wide_characters_take_their_columns() {
        assert_eq!(
            [cut("文楽人形", 8), cut("文楽人形", 7), cut("文楽", 0), cut("ab", 1)],
            ["文楽人形", "文楽人…", "", "…"]
        );
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_and_fits(text in any::<String>(), width in 0usize..100) {
            let line = cut(&one_line(&text), width);
            prop_assert!(width_of(&line) <= width && !line.contains(char::is_control), "{:?}", line);
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        assert_eq!(escaped("Web Ω: \"x\"\\"), "Web Ω: \"x\"\\");
        assert_eq!(escaped("a\u{1b}[2J\r\nb\u{9b}\u{202e}"), "a\\u{1b}[2J\\r\\nb\\u{9b}\\u{202e}");
        assert_eq!(escaped_lines("a\u{7}\nb"), "a\\u{7}\nb");
    }
}

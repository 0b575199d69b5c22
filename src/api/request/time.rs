//! Times as requests write them: ISO 8601 with `Z` or an offset, which may be written as `+02:00`, `+0200` or `+02`.

use chrono::{DateTime, Utc};

/// The time that a text means.
pub(crate) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let time =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%#z"));
    time.ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_may_be_written_short() {
        let noon = parse("2026-03-01T12:00:05Z");
        assert!(noon.is_some());
        for text in [
            "2026-03-01T14:00:05+02:00",
            "2026-03-01T14:00:05+0200",
            "2026-03-01T14:00:05+02",
            "2026-03-01T12:00:05.000Z",
        ] {
            assert_eq!(parse(text), noon, "{text}");
        }
        for text in ["", "2026-03-01", "2026-03-01T12:00:05", "2026-03-01T12:00:05+2", "2026-13-01T12:00:05Z", "now"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

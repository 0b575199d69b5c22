//! Two agents with one certname supersede each other without end, some five times a second (`docs/pcp.md` §9). This
//! tells it from an agent that merely reconnects, and calms it by refusing the newcomer for a while.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::pcp::Uri;

/// So many supersedes …
const LIMIT: u32 = 5;
/// … within this time are contention.
const WINDOW: Duration = Duration::from_secs(10);
/// So long newcomers are refused while the present session lives.
const REFUSAL: Duration = Duration::from_secs(30);
/// So long after the last supersede or refusal a URI counts as contended.
const MEMORY: Duration = Duration::from_secs(120);
/// Past so many entries the expired ones are swept out.
const SWEEP_AT: usize = 1_024;

#[derive(Debug)]
struct Entry {
    window_start: Instant,
    count: u32,
    last: Instant,
    /// Set once the limit is passed.
    refused_until: Option<Instant>,
}

/// What is known of URIs that were superseded lately.
#[derive(Debug, Default)]
pub(super) struct Contention(HashMap<Uri, Entry>);

impl Contention {
    /// Whether a newcomer that would supersede has to be refused.
    pub(super) fn refuses(&mut self, uri: &Uri, now: Instant) -> bool {
        let Some(entry) = self.0.get_mut(uri) else { return false };
        let refused = entry.refused_until.is_some_and(|until| now < until);
        if refused {
            entry.last = now;
        }
        refused
    }

    /// Records a supersede; true when it is the one that makes the URI contended, which is worth a log line.
    pub(super) fn superseded(&mut self, uri: &Uri, now: Instant) -> bool {
        if self.0.len() >= SWEEP_AT {
            self.0.retain(|_, entry| now < entry.last + MEMORY);
        }
        let fresh = Entry { window_start: now, count: 0, last: now, refused_until: None };
        let entry = self.0.entry(uri.clone()).or_insert(fresh);
        if now >= entry.window_start + WINDOW {
            (entry.window_start, entry.count) = (now, 0);
        }
        entry.count += 1;
        entry.last = now;
        // A URI known as contended gets no second window: after the refusal one more supersede brings the next.
        let known = entry.refused_until.is_some_and(|until| now < until + MEMORY);
        if entry.count < LIMIT && !known {
            return false;
        }
        entry.refused_until = Some(now + REFUSAL);
        !known
    }

    /// Whether nothing is contended, and nothing will cease to be by itself.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.values().all(|entry| entry.refused_until.is_none())
    }

    /// Whether two sessions with this URI keep superseding each other.
    pub(super) fn is_contended(&self, uri: &Uri, now: Instant) -> bool {
        self.0.get(uri).is_some_and(|entry| entry.refused_until.is_some() && now < entry.last + MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_supersedes_is_contention() {
        let (mut contention, uri) = (Contention::default(), Uri::of("a", "agent"));
        let mut now = Instant::now();
        for n in 1..=LIMIT {
            assert!(!contention.refuses(&uri, now));
            assert_eq!(contention.superseded(&uri, now), n == LIMIT);
        }
        assert!(contention.refuses(&uri, now) && contention.is_contended(&uri, now));
        assert!(!contention.refuses(&Uri::of("b", "agent"), now));

        now += REFUSAL;
        assert!(!contention.refuses(&uri, now), "the refusal ends");
        assert!(!contention.superseded(&uri, now), "logged once");
        assert!(contention.refuses(&uri, now), "but the next one follows at once");
        now += MEMORY;
        assert!(!contention.is_contended(&uri, now));
    }

    #[test]
    fn occasional_reconnects_are_none() {
        let (mut contention, uri) = (Contention::default(), Uri::of("a", "agent"));
        let mut now = Instant::now();
        for _ in 0..50 {
            assert!(!contention.superseded(&uri, now));
            now += WINDOW / 4;
        }
        assert!(!contention.is_contended(&uri, now));
    }
}

//! What an agent has to change that cannot fetch the files of tasks: its own words say where it looked, not where it should.

use std::borrow::Cow;

use bunraku_actors::model::RunOutcome;
use url::Url;

/// What agents say when they have nowhere to look.
const NOWHERE: &str = "No master-uris were provided";
/// What they say when they looked everywhere; what they found last comes after [`LAST`].
const EVERYWHERE: &str = "failed after trying all the available master-uris";
const LAST: &str = "Most recent error message: ";

/// Whose configuration it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    PxpAgent,
}

/// Puts the line to change before the agent's words, where they tell that it did not look here. `ours`: where this service
/// gives out files, the address to write first.
pub(super) fn advised(outcome: RunOutcome, kind: Kind, ours: &[String]) -> RunOutcome {
    match outcome {
        RunOutcome::Refused { description } => match advice(&description, kind, ours) {
            Some(advice) => RunOutcome::Refused { description: format!("{advice} ({description})") },
            None => RunOutcome::Refused { description },
        },
        other => other,
    }
}

fn advice(description: &str, kind: Kind, ours: &[String]) -> Option<String> {
    let address = ours.first()?;
    let looked: Cow<'_, str> = if description.contains(NOWHERE) {
        ": it has no addresses".into()
    } else if description.contains(EVERYWHERE) {
        match last_looked_at(description) {
            // It did look here: what went wrong is something else, and it says so itself.
            Some(url) if ours.iter().any(|ours| same_place(&url, ours)) => return None,
            Some(url) => format!(" from {}", url.origin().ascii_serialization()).into(),
            None => " from the addresses that it has".into(),
        }
    } else {
        return None;
    };
    let line = match kind {
        Kind::Ours => format!("primary_uris: [{address}]\" into its agent.yaml"),
        Kind::PxpAgent => format!("\"primary-uris\": [\"{address}\"]\" into its pxp-agent.conf"),
    };
    Some(format!("the agent cannot fetch the task's files{looked}: put \"{line}"))
}

fn last_looked_at(description: &str) -> Option<Url> {
    let (_, last) = description.split_once(LAST)?;
    let begin = last.find("https://")?;
    let text: String = last[begin..].chars().take_while(|character| !character.is_whitespace()).collect();
    Url::parse(&text).ok()
}

fn same_place(url: &Url, ours: &str) -> bool {
    Url::parse(ours).is_ok_and(|ours| ours.origin() == url.origin())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: [&str; 2] = ["https://orch.example.com:8143", "https://other.example.com:8143"];

    fn said(description: &str, kind: Kind) -> String {
        let outcome = RunOutcome::Refused { description: description.to_owned() };
        match advised(outcome, kind, &OURS.map(str::to_owned)) {
            RunOutcome::Refused { description } => description,
            other => panic!("{other:?}"),
        }
    }

    fn failed(last: &str) -> String {
        format!(
            "Failed to execute the task for the non blocking 'task run' request. Error: Failed to download file with: \
             Downloading file \"y.sh\" failed after trying all the available master-uris. \
             Most recent error message: {last}"
        )
    }

    #[test]
    fn an_agent_that_looked_elsewhere_is_told_the_line_to_change() {
        let words = failed(
            "https://puppet.example.com:8140/nope?environment=production returned a response with HTTP status 404. \
             Response body: not found",
        );
        let pxp = said(&words, Kind::PxpAgent);
        let expected = "the agent cannot fetch the task's files from https://puppet.example.com:8140: \
             put \"\"primary-uris\": [\"https://orch.example.com:8143\"]\" into its pxp-agent.conf";
        assert_eq!(pxp, format!("{expected} ({words})"));
        let words = failed("https://puppet:8143/puppet/v3/file_content/tasks/a/b?environment=p: connection refused");
        let own = said(&words, Kind::Ours);
        let expected = "the agent cannot fetch the task's files from https://puppet:8143: \
             put \"primary_uris: [https://orch.example.com:8143]\" into its agent.yaml";
        assert_eq!(own, format!("{expected} ({words})"));
    }

    #[test]
    fn an_agent_without_addresses_or_without_a_word_about_them_is_told_too() {
        let nowhere = said("Error: Cannot download file. No master-uris were provided", Kind::PxpAgent);
        assert!(nowhere.starts_with("the agent cannot fetch the task's files: it has no addresses: put"), "{nowhere}");
        let resolved = said(&failed("Couldn't resolve host name"), Kind::PxpAgent);
        assert!(resolved.contains("from the addresses that it has: put"), "{resolved}");
    }

    #[test]
    fn who_looked_here_or_failed_otherwise_is_not_sent_astray() {
        for words in [
            failed("https://orch.example.com:8143/x returned a response with HTTP status 503. Response body: "),
            failed("https://OTHER.example.com:8143/x: operation timed out"),
            "Error: Failed to download file with: The downloaded file \"x.sh\" has a SHA that differs".to_owned(),
            "unknown module: task".to_owned(),
        ] {
            assert_eq!(said(&words, Kind::PxpAgent), words);
        }
        let outcome = RunOutcome::Refused { description: failed("https://a:1/ x") };
        assert_eq!(advised(outcome.clone(), Kind::Ours, &[]), outcome, "who has no address gives no advice");
    }

    proptest! {
        #[test]
        fn whatever_an_agent_says_is_kept(words in ".*", last in ".*") {
            prop_assert!(said(&words, Kind::Ours).contains(&words));
            let words = failed(&last);
            prop_assert!(said(&words, Kind::PxpAgent).contains(&words));
        }
    }
}

//! How many nodes a job may miss and still be a success for whoever started it: `--allow-unreached`.

use std::str::FromStr;

use super::output::counted;

/// How a watched job is judged.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct JudgeArgs {
    /// End with 0 although so many nodes were not connected, or not reached: a number, or a share such as 2%
    #[arg(long, value_name = "N|N%")]
    pub(crate) allow_unreached: Option<Allowance>,
}

/// A number of nodes, or a share of a job's nodes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Allowance {
    /// As it was written.
    text: String,
    limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limit {
    Nodes(u64),
    Percent(f64),
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is neither a number of nodes nor a share such as 2%");
        let limit = match text.strip_suffix('%') {
            Some(percent) => {
                Limit::Percent(percent.parse().ok().filter(|n| (0.0..=100.0).contains(n)).ok_or_else(wrong)?)
            }
            None => Limit::Nodes(text.parse().map_err(|_| wrong())?),
        };
        Ok(Self { text: text.to_owned(), limit })
    }
}

impl Allowance {
    /// Whether so many of a job's nodes may be missed.
    pub(crate) fn allows(&self, missed: u64, nodes: u64) -> bool {
        match self.limit {
            Limit::Nodes(most) => missed <= most,
            Limit::Percent(percent) => missed as f64 * 100.0 <= percent * nodes as f64,
        }
    }

    /// What it means for a job that missed so many of its nodes, and nothing worse.
    pub(crate) fn verdict(&self, missed: u64, nodes: u64) -> String {
        let missed_nodes = format!("{missed} of {} not reached", counted(nodes, "node was", "nodes were"));
        if self.allows(missed, nodes) {
            format!("exit code 0: {missed_nodes}, which --allow-unreached {} allows", self.text)
        } else {
            format!("exit code 3: {missed_nodes}, more than --allow-unreached {} allows", self.text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(text: &str) -> Allowance {
        text.parse().unwrap()
    }

    #[test]
    fn shares_and_numbers_are_limits_that_hold_exactly() {
        for (text, missed, nodes, allowed) in [
            ("2%", 2, 100, true),
            ("2%", 3, 100, false),
            ("2%", 1, 49, false),
            ("2.5%", 1, 40, true),
            ("0", 0, 5, true),
            ("0", 1, 5, false),
            ("3", 3, 4, true),
            ("100%", 4, 4, true),
        ] {
            assert_eq!(allowance(text).allows(missed, nodes), allowed, "{missed} of {nodes} at {text}");
        }
        for bad in ["", "%", "-1", "101%", "NaN%", "two", "2 %"] {
            assert!(bad.parse::<Allowance>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_verdict_says_what_counted() {
        assert_eq!(
            allowance("2%").verdict(2, 100),
            "exit code 0: 2 of 100 nodes were not reached, which --allow-unreached 2% allows"
        );
        assert_eq!(
            allowance("0").verdict(1, 1),
            "exit code 3: 1 of 1 node was not reached, more than --allow-unreached 0 allows"
        );
    }
}

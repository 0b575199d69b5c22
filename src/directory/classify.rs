//! Which nodes belong to which groups: the groups of one directory, over facts from files and PuppetDB.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bunraku_actors::model::{CertName, Pattern};
use bunraku_actors::ports::NodeGroup;
use parking_lot::Mutex;
use serde_json::Value;
use uuid::Uuid;

use super::facts::{FactFiles, NodeFacts};
use super::groups::{FactPath, Groups};
use super::puppetdb::AllFacts;

/// Groups, and the facts that lie in files. Everything here blocks.
#[derive(Debug)]
pub(super) struct Classifier {
    groups_dir: PathBuf,
    facts: FactFiles,
    /// Held while the groups are read: one reading at a time, so that an older one never replaces a newer one.
    reading: Mutex<()>,
    /// As read last. Held for moments only: whoever asks what is wrong must not wait for the disk.
    groups: Mutex<Arc<Groups>>,
}

/// The groups and the facts of one moment.
#[derive(Debug)]
pub(super) struct Classified {
    groups: Arc<Groups>,
    from_files: BTreeMap<CertName, Arc<NodeFacts>>,
    /// Goes before what files say of a node.
    pub(super) from_puppetdb: AllFacts,
    /// Asked for nodes of which nobody else knows anything.
    pub(super) of_agent: FactsOfAgent,
}

/// What the agent of a node says of it, as a JSON object, while it is connected.
#[derive(Clone, Default)]
pub struct FactsOfAgent(Option<Arc<Ask>>);

type Ask = dyn Fn(&CertName) -> Option<Arc<str>> + Send + Sync;

impl FactsOfAgent {
    /// Asks this function.
    pub fn new(ask: impl Fn(&CertName) -> Option<Arc<str>> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    pub(super) fn of(&self, node: &CertName) -> Option<Value> {
        let text = self.0.as_ref()?(node)?;
        serde_json::from_str(&text).ok()
    }
}

impl fmt::Debug for FactsOfAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FactsOfAgent(..)")
    }
}

impl Classifier {
    /// Reads the groups for the first time.
    pub(super) fn open(groups_dir: PathBuf, facts_dir: Option<PathBuf>) -> Self {
        let facts = FactFiles::new(facts_dir);
        let classifier = Self { groups_dir, facts, reading: Mutex::default(), groups: Mutex::default() };
        classifier.groups();
        classifier
    }

    /// Whether there are groups at all: their directory is there.
    pub(super) fn is_configured(&self) -> bool {
        self.groups_dir.is_dir()
    }

    /// The groups as their files say now.
    pub(super) fn groups(&self) -> Arc<Groups> {
        let _alone = self.reading.lock();
        let before = Arc::clone(&self.groups.lock());
        let groups = Arc::new(before.reread(&self.groups_dir));
        *self.groups.lock() = Arc::clone(&groups);
        groups
    }

    /// Groups and facts as their files say now.
    pub(super) fn look(&self) -> Classified {
        let groups = self.groups();
        let from_files = self.facts.all(&groups.facts());
        Classified { groups, from_files, from_puppetdb: AllFacts::default(), of_agent: FactsOfAgent::default() }
    }

    /// What is wrong with the groups, as read last.
    pub(super) fn groups_trouble(&self) -> Option<String> {
        self.groups.lock().trouble()
    }

    /// What is wrong with the facts; `None` as well where none are configured.
    pub(super) fn facts_trouble(&self) -> Option<Option<String>> {
        self.facts.is_configured().then(|| self.facts.trouble())
    }
}

impl Classified {
    /// Every fact that some rule looks at.
    pub(super) fn wanted(&self) -> BTreeSet<FactPath> {
        self.groups.facts()
    }

    /// The nodes of a group, of those with facts and of `others`; sorted.
    pub(super) fn members(&self, group: Uuid, others: impl Iterator<Item = CertName>) -> Vec<CertName> {
        let with_facts = self.from_files.keys().chain(self.from_puppetdb.keys()).cloned();
        let known: BTreeSet<CertName> = with_facts.chain(others).collect();
        known.into_iter().filter(|node| self.has(group, node)).collect()
    }

    /// Those of the nodes that are in any of the groups whose id or name fits.
    pub(super) fn within(&self, wanted: &[Pattern], nodes: Vec<CertName>) -> BTreeSet<CertName> {
        let groups = groups_that_fit(&self.groups, wanted);
        nodes.into_iter().filter(|node| groups.iter().any(|group| self.has(*group, node))).collect()
    }

    fn has(&self, group: Uuid, node: &CertName) -> bool {
        let known = self.from_puppetdb.get(node).or_else(|| self.from_files.get(node));
        let told = if known.is_none() { self.of_agent.of(node) } else { None };
        let fact = |path: &FactPath| match known {
            Some(facts) => facts.get(path).cloned(),
            None => path.find(told.as_ref()?),
        };
        self.groups.has(group, node.as_str(), &fact)
    }
}

/// Of all groups those whose id or name fits.
fn groups_that_fit(groups: &Groups, wanted: &[Pattern]) -> Vec<Uuid> {
    let fits = |group: &&Arc<NodeGroup>| {
        let id = group.id.to_string();
        wanted.iter().any(|pattern| pattern.matches(&id) || pattern.matches(&group.name))
    };
    groups.all().iter().filter(fits).map(|group| group.id).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn who_asks_for_trouble_waits_for_no_reading() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bad.yaml"), "id: [").unwrap();
        let classifier = Classifier::open(directory.path().to_owned(), None);
        let _reading = classifier.reading.lock();
        assert!(classifier.groups_trouble().unwrap().contains("bad.yaml"));
    }
}

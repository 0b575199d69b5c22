//! Which nodes belong to which groups: the groups of one directory, over the facts of another. Everything here blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bunraku_actors::model::{CertName, Pattern};
use bunraku_actors::ports::NodeGroup;
use parking_lot::Mutex;
use uuid::Uuid;

use super::facts::{FactFiles, NodeFacts};
use super::groups::{FactPath, Groups};

/// Groups with the facts that they are about.
#[derive(Debug)]
pub(super) struct Classifier {
    groups_dir: PathBuf,
    facts: FactFiles,
    /// As read last.
    groups: Mutex<Arc<Groups>>,
}

impl Classifier {
    /// Reads the groups for the first time.
    pub(super) fn open(groups_dir: PathBuf, facts_dir: Option<PathBuf>) -> Self {
        let classifier = Self { groups_dir, facts: FactFiles::new(facts_dir), groups: Mutex::default() };
        classifier.groups();
        classifier
    }

    /// Whether there are groups at all: their directory is there.
    pub(super) fn is_configured(&self) -> bool {
        self.groups_dir.is_dir()
    }

    /// The groups as their files say now.
    pub(super) fn groups(&self) -> Arc<Groups> {
        // One reading at a time, so that an older one never replaces a newer one.
        let mut groups = self.groups.lock();
        *groups = Arc::new(groups.reread(&self.groups_dir));
        Arc::clone(&groups)
    }

    /// The nodes of a group, of those with facts and of `others`; sorted.
    pub(super) fn members(&self, group: Uuid, others: Vec<CertName>) -> Vec<CertName> {
        let groups = self.groups();
        let facts = self.facts.all(&groups.facts());
        let known: BTreeSet<CertName> = facts.keys().cloned().chain(others).collect();
        known.into_iter().filter(|node| has(&groups, group, node, &facts)).collect()
    }

    /// Those of the nodes that are in any of the groups whose id or name fits.
    pub(super) fn within(&self, wanted: &[Pattern], nodes: Vec<CertName>) -> BTreeSet<CertName> {
        let groups = self.groups();
        let fits = |group: &&Arc<NodeGroup>| {
            let id = group.id.to_string();
            wanted.iter().any(|pattern| pattern.matches(&id) || pattern.matches(&group.name))
        };
        let wanted: Vec<Uuid> = groups.all().iter().filter(fits).map(|group| group.id).collect();
        if wanted.is_empty() {
            return BTreeSet::new();
        }
        let facts = self.facts.all(&groups.facts());
        nodes.into_iter().filter(|node| wanted.iter().any(|group| has(&groups, *group, node, &facts))).collect()
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

fn has(groups: &Groups, group: Uuid, node: &CertName, facts: &BTreeMap<CertName, Arc<NodeFacts>>) -> bool {
    let of_node = facts.get(node);
    let fact = |path: &FactPath| of_node.and_then(|facts| facts.get(path)).cloned();
    groups.has(group, node.as_str(), &fact)
}

//! Short ways to environments and commands.

use std::num::NonZeroU32;

use serde_json::{Map, json};

use crate::model::{
    CertName, Common, DeployCommand, DeployOptions, EnvironmentName, Origin, Owner, Reach, Scope, TaskCommand, TaskName,
};
use crate::ports::{Component, Environment, EnvironmentSettings, Instance};

/// Certnames from texts.
///
/// # Panics
/// When a text is none.
#[must_use]
pub fn names<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Vec<CertName> {
    texts.into_iter().map(|text| CertName::parse(text.as_ref()).expect("tests use valid certnames")).collect()
}

/// Someone who may do everything.
#[must_use]
pub fn owner() -> Owner {
    Owner {
        id: "7d7a1c4e-0d2b-4a0e-9c56-0a4a0a4b9f11".into(),
        login: "ops".into(),
        display_name: "Ops".into(),
        role: "admin".into(),
    }
}

/// A component `kind[title]` on a node.
#[must_use]
pub fn component(title: &str, node: &str, produces: &[&str], consumes: &[&str]) -> Component {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Component {
        kind: "Part".into(),
        title: title.into(),
        node: names([node]).pop(),
        produces: owned(produces),
        consumes: owned(consumes),
    }
}

/// An application instance `Shop[title]`.
#[must_use]
pub fn instance(title: &str, components: Vec<Component>) -> Instance {
    Instance { kind: "Shop".into(), title: title.into(), components }
}

/// Makes what most tests need.
#[derive(Debug, Clone, Copy)]
pub struct Build;

impl Build {
    /// The environment `production` with these instances and assigned nodes.
    ///
    /// # Panics
    /// Never: the name is valid.
    #[must_use]
    pub fn environment(instances: Vec<Instance>, nodes: Vec<CertName>) -> Environment {
        Environment {
            name: EnvironmentName::parse("production").expect("a valid name"),
            settings: EnvironmentSettings::default(),
            applications: Vec::new(),
            instances,
            nodes,
            order: Vec::new(),
        }
    }

    fn common(concurrency: u32) -> Common {
        Common {
            reach: Reach::All,
            origin: Origin::default(),
            once: None,
            owner: owner(),
            description: String::new(),
            concurrency: NonZeroU32::new(concurrency),
            timeout: None,
            userdata: json!({}),
            options: json!({}),
        }
    }

    /// A deploy in `production`; concurrency 0 is unlimited.
    #[must_use]
    pub fn deploy(scope: Scope, concurrency: u32) -> DeployCommand {
        DeployCommand {
            environment: EnvironmentName::parse("production").ok(),
            enforce_environment: true,
            scope,
            order: None,
            run: DeployOptions::default(),
            common: Self::common(concurrency),
        }
    }

    /// A task in `production`; concurrency 0 is unlimited.
    ///
    /// # Panics
    /// When the name is none.
    #[must_use]
    pub fn task(task: &str, nodes: Vec<CertName>, concurrency: u32) -> TaskCommand {
        TaskCommand {
            environment: EnvironmentName::parse("production").expect("a valid name"),
            task: TaskName::parse(task).expect("tests use valid task names"),
            params: Map::new(),
            scope: Scope::Nodes(nodes),
            noop: false,
            common: Self::common(concurrency),
        }
    }
}

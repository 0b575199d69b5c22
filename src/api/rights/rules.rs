//! Roles and who has them: three roles that are always there, and what `access.yaml` adds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bunraku_actors::model::Pattern;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Grant, Permission, Rights};

/// May look.
pub const VIEWER: &str = "viewer";
/// May look, run and stop.
pub const OPERATOR: &str = "operator";
/// May do everything.
pub const ADMIN: &str = "admin";

/// Every role, who has it, and which certificates stand for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    roles: BTreeMap<String, Arc<Rights>>,
    bindings: BTreeMap<String, BTreeSet<String>>,
    certificates: BTreeMap<String, String>,
}

/// Why a file of rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Not YAML, or a key that there is not.
    #[error("{0}")]
    Unreadable(String),
    #[error("the role '{0}' is built in and cannot be defined")]
    BuiltIn(String),
    #[error("the role '{role}' has the permission '{permission}', which there is not: use one of {known}")]
    UnknownPermission { role: String, permission: String, known: String },
    #[error("the role '{role}' limits {permission} by {key}, which it cannot be limited by")]
    NotLimitable { role: String, permission: String, key: &'static str },
    #[error("a binding names the role '{0}', which there is not")]
    UnknownRole(String),
    #[error("the certificate '{0}' stands for two logins")]
    TwoLogins(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    roles: BTreeMap<String, RoleEntry>,
    bindings: Vec<BindingEntry>,
    certificates: Vec<CertificateEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleEntry {
    permissions: Vec<PermissionEntry>,
}

#[derive(Debug)]
enum PermissionEntry {
    Name(String),
    Limited(LimitedEntry),
}

/// Either by hand: what is derived says of a key that there is not only that nothing fits.
impl<'de> Deserialize<'de> for PermissionEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = PermissionEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a permission's name, or a map with its name and limits")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(PermissionEntry::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                LimitedEntry::deserialize(MapAccessDeserializer::new(map)).map(PermissionEntry::Limited)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitedEntry {
    permission: String,
    #[serde(default, deserialize_with = "listed")]
    instances: Option<Vec<String>>,
    #[serde(default, deserialize_with = "listed")]
    environments: Option<Vec<String>>,
    #[serde(default, deserialize_with = "listed")]
    nodes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "listed")]
    node_groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "listed")]
    task_targets: Option<Vec<u64>>,
}

/// A limit that is named and left empty is a mistake, never the absence of a limit.
fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    let all = Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default();
    if all.is_empty() {
        return Err(serde::de::Error::custom("a limit names nothing: leave the key out, or say what it is limited to"));
    }
    Ok(Some(all))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingEntry {
    role: String,
    logins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateEntry {
    name: String,
    login: String,
}

impl Default for Rules {
    fn default() -> Self {
        let grants = |permissions: &[Permission]| permissions.iter().map(|one| Grant::of(*one)).collect::<Vec<_>>();
        let operator = [
            Permission::View,
            Permission::RunPuppet,
            Permission::RunTasks,
            Permission::RunPlans,
            Permission::StopJobs,
            Permission::ResumeJobs,
            Permission::QueryNodes,
            Permission::ViewGroups,
            Permission::EditTaskTargets,
            Permission::EditSchedules,
            Permission::VerifyLedgers,
        ];
        let everything = vec![Grant { permission: None, ..Grant::of(Permission::View) }];
        let roles = [(VIEWER, grants(&[Permission::View])), (OPERATOR, grants(&operator)), (ADMIN, everything)];
        Self {
            roles: roles.into_iter().map(|(name, grants)| (name.to_owned(), Arc::new(Rights::new(grants)))).collect(),
            bindings: BTreeMap::new(),
            certificates: BTreeMap::new(),
        }
    }
}

impl Rules {
    /// The built-in roles and those of a file.
    ///
    /// # Errors
    /// See [`RulesError`].
    pub fn parse(yaml: &str) -> Result<Self, RulesError> {
        let file: Option<File> =
            serde_saphyr::from_str_with_options(yaml, serde_saphyr::options! { strict_booleans: true })
                .map_err(|error| RulesError::Unreadable(error.to_string()))?;
        let File { roles, bindings, certificates } = file.unwrap_or_default();
        let mut rules = Self::default();
        for (name, entry) in roles {
            if rules.roles.contains_key(&name) {
                return Err(RulesError::BuiltIn(name));
            }
            let grants = entry.permissions.into_iter().map(|entry| grant(&name, entry)).collect::<Result<_, _>>()?;
            rules.roles.insert(name, Arc::new(Rights::new(grants)));
        }
        for BindingEntry { role, logins } in bindings {
            if !rules.roles.contains_key(&role) {
                return Err(RulesError::UnknownRole(role));
            }
            for login in logins {
                rules.bindings.entry(login).or_default().insert(role.clone());
            }
        }
        for CertificateEntry { name, login } in certificates {
            if rules.certificates.insert(name.clone(), login).is_some() {
                return Err(RulesError::TwoLogins(name));
            }
        }
        Ok(rules)
    }

    /// Whether there is such a role.
    #[must_use]
    pub fn knows(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// The names of all roles.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.roles.keys().map(String::as_str).collect()
    }

    /// The roles that are bound to a login.
    #[must_use]
    pub fn roles_of(&self, login: &str) -> Vec<String> {
        self.bindings.get(login).into_iter().flatten().cloned().collect()
    }

    /// The login for which a client certificate stands.
    #[must_use]
    pub fn login_of(&self, certificate: &str) -> Option<&str> {
        self.certificates.get(certificate).map(String::as_str)
    }

    /// What somebody with these roles may do; a role that is gone grants nothing.
    #[must_use]
    pub fn rights(&self, roles: &[String]) -> Arc<Rights> {
        let known: Vec<_> = roles.iter().filter_map(|role| self.roles.get(role)).collect();
        match known[..] {
            [one] => Arc::clone(one),
            _ => Arc::new(Rights::new(known.into_iter().flat_map(|rights| rights.grants.iter().cloned()).collect())),
        }
    }
}

fn grant(role: &str, entry: PermissionEntry) -> Result<Grant, RulesError> {
    let entry = match entry {
        PermissionEntry::Name(permission) => LimitedEntry {
            permission,
            instances: None,
            environments: None,
            nodes: None,
            node_groups: None,
            task_targets: None,
        },
        PermissionEntry::Limited(entry) => entry,
    };
    let permission = match entry.permission.as_str() {
        "*" => None,
        name => Some(Permission::from_name(name).ok_or_else(|| RulesError::UnknownPermission {
            role: role.to_owned(),
            permission: name.to_owned(),
            known: Permission::ALL.map(Permission::name).join(", "),
        })?),
    };
    let limits = [
        ("instances", entry.instances.is_some(), permission.is_some_and(Permission::has_instances)),
        ("environments", entry.environments.is_some(), permission.is_some_and(Permission::acts_on_nodes)),
        ("nodes", entry.nodes.is_some(), permission.is_some_and(Permission::acts_on_nodes)),
        ("node_groups", entry.node_groups.is_some(), permission.is_some_and(Permission::acts_on_nodes)),
    ];
    let through_targets = entry.task_targets.is_some();
    let beside = entry.instances.is_some() || entry.nodes.is_some() || entry.node_groups.is_some();
    if through_targets && (permission != Some(Permission::RunTasks) || beside) {
        return Err(RulesError::NotLimitable {
            role: role.to_owned(),
            permission: entry.permission,
            key: if beside { "task_targets beside instances, nodes or node_groups" } else { "task_targets" },
        });
    }
    if let Some((key, ..)) = limits.into_iter().find(|(_, given, possible)| *given && !possible) {
        return Err(RulesError::NotLimitable { role: role.to_owned(), permission: entry.permission, key });
    }
    let patterns = |texts: Option<Vec<String>>| texts.map(|texts| texts.into_iter().map(Pattern::new).collect());
    Ok(Grant {
        permission,
        instances: patterns(entry.instances),
        environments: patterns(entry.environments),
        nodes: patterns(entry.nodes),
        node_groups: patterns(entry.node_groups),
        queries: Vec::new(),
        task_targets: entry.task_targets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
roles:
  web:
    permissions:
      - orchestrator:view
      - permission: puppet_agent:run
        environments: [production]
        nodes: ['web*.example.com']
bindings:
  - role: web
    logins: [alice, bob]
  - role: viewer
    logins: [alice]
certificates:
  - name: metrics.example.com
    login: metrics
";

    #[test]
    fn roles_are_bound_to_logins() {
        let rules = Rules::parse(FILE).unwrap();
        assert_eq!(rules.roles_of("alice"), ["viewer", "web"]);
        assert!(rules.roles_of("carol").is_empty());
        assert_eq!(rules.login_of("metrics.example.com"), Some("metrics"));
        let rights = rules.rights(&["web".to_owned()]);
        assert!(rights.may(Permission::RunPuppet) && !rights.may(Permission::RunTasks));
    }

    #[test]
    fn an_empty_file_leaves_the_built_in_roles() {
        for text in ["", "# nothing yet\n", "{}"] {
            assert_eq!(Rules::parse(text).unwrap(), Rules::default(), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_name() {
        let refusal = |text: &str| Rules::parse(text).unwrap_err().to_string();
        assert!(refusal("roles: {admin: {permissions: []}}").contains("'admin' is built in"));
        assert!(refusal("roles: {a: {permissions: [jobs:sto]}}").contains("'jobs:sto'"));
        assert!(refusal("roles: {a: {permissions: [{permission: audit:view, nodes: [x]}]}}").contains("by nodes"));
        assert!(
            refusal("roles: {a: {permissions: [{permission: puppet_agent:run, task_targets: [1]}]}}")
                .contains("by task_targets")
        );
        assert!(
            refusal("roles: {a: {permissions: [{permission: tasks:run, task_targets: [1], nodes: [web]}]}}")
                .contains("beside instances")
        );
        assert!(refusal("roles: {a: {permissions: [{permission: plans:run, nodes: [web]}]}}").contains("by nodes"));
        assert!(refusal("bindings: [{role: nobody, logins: [a]}]").contains("'nobody'"));
        assert!(refusal("rolls: {}").contains("rolls"));
        for empty in ["nodes:", "nodes: []", "instances: null", "environments: ~", "node_groups:", "task_targets: []"] {
            let text = format!("roles:\n  a:\n    permissions:\n      - permission: tasks:run\n        {empty}\n");
            assert!(refusal(&text).contains("a limit names nothing"), "{empty}: {}", refusal(&text));
        }
        let odd = "roles: {a: {permissions: [{permission: tasks:run, node: [n]}]}}";
        assert!(refusal(odd).contains("unknown field `node`"), "{}", refusal(odd));
        let yes = Rules::parse("roles: {a: {permissions: [{permission: tasks:run, nodes: [y]}]}}");
        assert!(yes.is_ok(), "y is a name here: {yes:?}");
        assert!(refusal("certificates: [{name: a, login: b}, {name: a, login: c}]").contains("'a'"));
    }
}

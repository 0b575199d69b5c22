//! Who may do what (API §1.4): permissions, the roles that grant them, and what limits a grant.
//!
//! Nothing here knows a request: handlers ask [`Rights`], which are made of the names of somebody's roles by [`Rules`].

mod permission;
mod rules;

use bunraku_actors::model::{EnvironmentName, Pattern, Reach};

pub use permission::Permission;
pub use rules::{ADMIN, OPERATOR, Rules, RulesError, VIEWER};

/// What a role grants: an action, maybe on some things only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `None` is every permission.
    pub permission: Option<Permission>,
    /// Tasks, plans or groups by name; `None` is all of them.
    pub instances: Option<Vec<Pattern>>,
    /// Environments; `None` is all of them.
    pub environments: Option<Vec<Pattern>>,
    /// Nodes by certname; `None` is all of them.
    pub nodes: Option<Vec<Pattern>>,
}

impl Grant {
    /// A grant without limits.
    #[must_use]
    pub fn of(permission: Permission) -> Self {
        Self { permission: Some(permission), instances: None, environments: None, nodes: None }
    }

    fn is_for(&self, permission: Permission) -> bool {
        self.permission.is_none_or(|granted| granted == permission)
    }
}

fn fits(patterns: Option<&Vec<Pattern>>, name: &str) -> bool {
    patterns.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(name)))
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    grants: Vec<Grant>,
}

impl Rights {
    /// The rights of somebody with these grants.
    #[must_use]
    pub fn new(grants: Vec<Grant>) -> Self {
        Self { grants }
    }

    /// Whether there is anything on which they may.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.is_for(permission))
    }

    /// Whether there is any node and environment on which they may do it with this task, plan or group.
    #[must_use]
    pub fn may_with(&self, permission: Permission, instance: &str) -> bool {
        self.grants.iter().any(|grant| grant.is_for(permission) && fits(grant.instances.as_ref(), instance))
    }

    /// The nodes on which they may, with this task or plan and in this environment; `None` when on none.
    #[must_use]
    pub fn reach(
        &self,
        permission: Permission,
        instance: Option<&str>,
        environment: Option<&EnvironmentName>,
    ) -> Option<Reach> {
        let environment = environment.map_or("", EnvironmentName::as_str);
        let mut nodes = Vec::new();
        let mut any = false;
        for grant in self.grants.iter().filter(|grant| grant.is_for(permission)) {
            let instance_fits = instance.is_none_or(|instance| fits(grant.instances.as_ref(), instance));
            if !instance_fits || !fits(grant.environments.as_ref(), environment) {
                continue;
            }
            match &grant.nodes {
                None => return Some(Reach::All),
                Some(patterns) => nodes.extend(patterns.iter().cloned()),
            }
            any = true;
        }
        any.then(|| Reach::Only(nodes.into()))
    }

    /// The grants of a permission, for people who ask why.
    #[must_use]
    pub fn grants(&self, permission: Permission) -> Vec<&Grant> {
        self.grants.iter().filter(|grant| grant.is_for(permission)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Option<Vec<Pattern>> {
        Some(texts.iter().map(|text| Pattern::new(*text)).collect())
    }

    #[test]
    fn grants_add_up_and_each_keeps_its_limits() {
        let environment = |name: &str| EnvironmentName::parse(name).unwrap();
        let rights = Rights::new(vec![
            Grant {
                environments: patterns(&["production"]),
                nodes: patterns(&["web*"]),
                ..Grant::of(Permission::RunTasks)
            },
            Grant { instances: patterns(&["facts*"]), nodes: patterns(&["db*"]), ..Grant::of(Permission::RunTasks) },
        ]);
        let reach = |task: &str, name: &str| rights.reach(Permission::RunTasks, Some(task), Some(&environment(name)));
        assert_eq!(reach("exec", "production"), Some(Reach::Only(patterns(&["web*"]).unwrap().into())));
        assert_eq!(reach("facts::all", "production"), Some(Reach::Only(patterns(&["web*", "db*"]).unwrap().into())));
        assert_eq!(reach("facts", "staging"), Some(Reach::Only(patterns(&["db*"]).unwrap().into())));
        assert_eq!(reach("exec", "staging"), None);
        assert_eq!(rights.reach(Permission::RunPuppet, None, None), None);
        assert!(rights.may(Permission::RunTasks) && !rights.may(Permission::RunPuppet));
    }

    #[test]
    fn one_grant_without_limits_is_enough() {
        let rights = Rights::new(vec![
            Grant { nodes: patterns(&["web*"]), ..Grant::of(Permission::RunPuppet) },
            Grant { permission: None, ..Grant::of(Permission::View) },
        ]);
        assert_eq!(rights.reach(Permission::RunPuppet, None, None), Some(Reach::All));
        assert!(Permission::ALL.into_iter().all(|permission| rights.may(permission)));
    }
}

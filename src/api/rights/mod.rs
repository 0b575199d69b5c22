//! Who may do what (API §1.4): permissions, the roles that grant them, and what limits a grant.
//!
//! Nothing here knows a request: handlers ask [`Rights`], which are made of the names of somebody's roles by [`Rules`].

mod permission;
mod rules;

use bunraku_actors::model::{EnvironmentName, Limited, Pattern, Reach};

use super::records::TaskTarget;

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
    /// Nodes by certname; `None` is all of them, unless there are groups.
    pub nodes: Option<Vec<Pattern>>,
    /// Nodes by the groups that they are in, by id or name; `None` is all of them, unless there are names.
    pub node_groups: Option<Vec<Pattern>>,
    /// Nodes by the queries that find them, beside names and groups; only a task target has some.
    pub queries: Vec<String>,
    /// Set where the grant is for the tasks and nodes of these task targets, by number: others may give a target any name. Such
    /// a grant means nothing until [`Rights::through`] has put them in its place.
    pub task_targets: Option<Vec<u64>>,
}

impl Grant {
    /// A grant without limits.
    #[must_use]
    pub fn of(permission: Permission) -> Self {
        let permission = Some(permission);
        Self {
            permission,
            instances: None,
            environments: None,
            nodes: None,
            node_groups: None,
            queries: Vec::new(),
            task_targets: None,
        }
    }

    fn is_for(&self, permission: Permission) -> bool {
        self.permission.is_none_or(|granted| granted == permission) && self.task_targets.is_none()
    }

    /// The same for the tasks and nodes of one task target.
    fn of_target(&self, target: &TaskTarget) -> Self {
        // No such thing has a star in its name; in a pattern it would stand for all of them.
        let plain = |text: &&String| !text.contains('*');
        let exactly = |texts: &[String]| texts.iter().filter(plain).map(Pattern::new).collect::<Vec<_>>();
        Self {
            instances: (!target.all_tasks).then(|| exactly(&target.tasks)),
            nodes: Some(exactly(&target.nodes)),
            node_groups: Some(exactly(&target.node_groups)),
            queries: target.pql_query.iter().cloned().collect(),
            task_targets: None,
            ..self.clone()
        }
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

    /// Whether some grant is for task targets.
    #[must_use]
    pub fn needs_targets(&self) -> bool {
        self.grants.iter().any(|grant| grant.task_targets.is_some())
    }

    /// The same rights, with what task targets stand for in their place. Their queries are asked when it matters.
    #[must_use]
    pub fn through(&self, targets: &[(u64, TaskTarget)]) -> Self {
        let mut grants = Vec::new();
        for grant in &self.grants {
            let Some(wanted) = &grant.task_targets else {
                grants.push(grant.clone());
                continue;
            };
            let meant = targets.iter().filter(|(number, _)| wanted.contains(number));
            grants.extend(meant.map(|(_, target)| grant.of_target(target)));
        }
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
        let (mut names, mut groups, mut queries) = (Vec::new(), Vec::new(), Vec::new());
        let mut any = false;
        for grant in self.grants.iter().filter(|grant| grant.is_for(permission)) {
            let instance_fits = instance.is_none_or(|instance| fits(grant.instances.as_ref(), instance));
            if !instance_fits || !fits(grant.environments.as_ref(), environment) {
                continue;
            }
            if grant.nodes.is_none() && grant.node_groups.is_none() {
                return Some(Reach::All);
            }
            names.extend(grant.nodes.iter().flatten().cloned());
            groups.extend(grant.node_groups.iter().flatten().cloned());
            queries.extend(grant.queries.iter().cloned());
            any = true;
        }
        any.then(|| Reach::Only(Limited { names: names.into(), groups: groups.into(), queries: queries.into() }))
    }

    /// As [`Rights::reach`], in whatever environment and with whatever instance some grant is for.
    #[must_use]
    pub fn reach_somewhere(&self, permission: Permission, instance: Option<&str>) -> Option<Reach> {
        let anywhere = |grant: &Grant| Grant { environments: None, ..grant.clone() };
        Self { grants: self.grants.iter().map(anywhere).collect() }.reach(permission, instance, None)
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
        let only = |texts: &[&str]| {
            Some(Reach::Only(Limited { names: patterns(texts).unwrap().into(), ..Limited::default() }))
        };
        let reach = |task: &str, name: &str| rights.reach(Permission::RunTasks, Some(task), Some(&environment(name)));
        assert_eq!(reach("exec", "production"), only(&["web*"]));
        assert_eq!(reach("facts::all", "production"), only(&["web*", "db*"]));
        assert_eq!(reach("facts", "staging"), only(&["db*"]));
        assert_eq!(reach("exec", "staging"), None);
        assert_eq!(rights.reach(Permission::RunPuppet, None, None), None);
        assert!(rights.may(Permission::RunTasks) && !rights.may(Permission::RunPuppet));
    }

    #[test]
    fn a_task_target_stands_for_its_tasks_and_nodes() {
        let target = |name: &str, tasks: &[&str], nodes: &[&str]| TaskTarget {
            display_name: name.into(),
            tasks: tasks.iter().map(|task| (*task).to_owned()).collect(),
            all_tasks: tasks.is_empty(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            node_groups: Vec::new(),
            pql_query: Some(format!("nodes {{ certname ~ '{name}' }}")),
        };
        let targets = [(1, target("restart web", &["service"], &["web1"])), (2, target("all", &[], &["db1"]))];
        let rights = Rights::new(vec![Grant { task_targets: Some(vec![1]), ..Grant::of(Permission::RunTasks) }]);
        assert!(rights.needs_targets() && !rights.may(Permission::RunTasks));
        let rights = rights.through(&targets);
        let covers = |task: &str, node: &str| {
            let reach = rights.reach(Permission::RunTasks, Some(task), None);
            reach.is_some_and(|reach| reach.covers_by_name(&bunraku_actors::model::CertName::parse(node).unwrap()))
        };
        assert!(covers("service", "web1") && !covers("service", "web2") && !covers("exec", "web1"));
        assert!(!covers("exec", "db1"), "the other target is none of theirs");
        let reach = rights.reach(Permission::RunTasks, Some("service"), None).unwrap();
        assert_eq!(reach.queries(), ["nodes { certname ~ 'restart web' }"]);
        assert_eq!(rights.reach(Permission::RunTasks, Some("exec"), None), None, "the query is for its tasks");
        assert!(!rights.may(Permission::RunPuppet));
        let second = Rights::new(vec![Grant { task_targets: Some(vec![2]), ..Grant::of(Permission::RunTasks) }]);
        assert!(second.through(&targets).may_with(Permission::RunTasks, "anything"));
        assert!(!second.through(&[]).may(Permission::RunTasks), "a target that is gone grants nothing");
        let stars = Rights::new(vec![Grant { task_targets: Some(vec![3]), ..Grant::of(Permission::RunTasks) }]);
        let stars = stars.through(&[(3, target("stars", &["*"], &["*"]))]);
        assert!(!stars.may_with(Permission::RunTasks, "exec"), "a star in a target is no pattern");
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

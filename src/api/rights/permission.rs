//! The permissions, by the names that Puppet Enterprise has for them where it has one.

/// Something that somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Look at jobs, events, nodes, inventory, plan jobs, schedules.
    View,
    /// Run Puppet.
    RunPuppet,
    /// Run a task; its instances are tasks.
    RunTasks,
    /// Run a plan, or tell of one that runs elsewhere; its instances are plans.
    RunPlans,
    /// Stop jobs and plan jobs of others. One's own may be stopped without it.
    StopJobs,
    /// Let jobs go on that came back with a backup.
    ResumeJobs,
    /// Choose nodes by a query.
    QueryNodes,
    /// Choose nodes by a group; its instances are groups.
    ViewGroups,
    /// Make task targets.
    EditTaskTargets,
    /// Change and disable scheduled jobs of others.
    EditSchedules,
    /// Compare the store with the agents' ledgers.
    VerifyLedgers,
    /// Drain the service.
    Drain,
    /// Manage users and tokens.
    ManageAccounts,
    /// Read the audit log.
    ReadAudit,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 14] = [
        Self::View,
        Self::RunPuppet,
        Self::RunTasks,
        Self::RunPlans,
        Self::StopJobs,
        Self::ResumeJobs,
        Self::QueryNodes,
        Self::ViewGroups,
        Self::EditTaskTargets,
        Self::EditSchedules,
        Self::VerifyLedgers,
        Self::Drain,
        Self::ManageAccounts,
        Self::ReadAudit,
    ];

    /// `object:action`, as roles and refusals name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "orchestrator:view",
            Self::RunPuppet => "puppet_agent:run",
            Self::RunTasks => "tasks:run",
            Self::RunPlans => "plans:run",
            Self::StopJobs => "jobs:stop",
            Self::ResumeJobs => "jobs:resume",
            Self::QueryNodes => "nodes:view_data",
            Self::ViewGroups => "node_groups:view",
            Self::EditTaskTargets => "task_targets:edit",
            Self::EditSchedules => "scheduled_jobs:edit",
            Self::VerifyLedgers => "ledger:verify",
            Self::Drain => "service:drain",
            Self::ManageAccounts => "accounts:manage",
            Self::ReadAudit => "audit:view",
        }
    }

    /// The permission of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Whether its grants may name instances.
    #[must_use]
    pub fn has_instances(self) -> bool {
        matches!(self, Self::RunTasks | Self::RunPlans | Self::ViewGroups)
    }

    /// Whether its grants may be limited to environments and nodes. What a plan does on nodes is limited by the tasks that it
    /// may run.
    #[must_use]
    pub fn acts_on_nodes(self) -> bool {
        matches!(self, Self::RunPuppet | Self::RunTasks | Self::StopJobs)
    }
}

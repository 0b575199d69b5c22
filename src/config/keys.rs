//! Every key of `bunraku.yaml`: default, the name that Puppet Enterprise has for it, and what it means. The shipped file
//! and the table in `docs/configuration.md` are rendered from here, so they cannot drift apart.

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted: `section.key`.
    pub path: &'static str,
    /// As it would be written in the file.
    pub default: &'static str,
    /// PE's name, or `""`.
    pub pe: &'static str,
    /// What it means, one or two sentences.
    pub help: &'static str,
    /// Whether SIGHUP applies a changed value; all others need a restart.
    pub reloads: bool,
}

const fn key(path: &'static str, default: &'static str, pe: &'static str, help: &'static str) -> Key {
    Key { path, default, pe, help, reloads: false }
}

/// All keys, in the order of the shipped file.
pub const KEYS: &[Key] = &[
    key("data_dir", "data", "", "The database and everything else that the service writes."),
    key(
        "environments_dir",
        "environments",
        "",
        "One <name>.yaml per environment: nodes, applications, module path. Changes are picked up while the service runs.",
    ),
    key(
        "groups_dir",
        "groups",
        "",
        "One *.yaml per node group: id, name, parent, and a rule as the classifier of Puppet Enterprise writes it. Read at each use. Need not be there.",
    ),
    key(
        "facts_dir",
        "null",
        "",
        "Facts for the rules of groups, one <certname>.yaml or .json per node: on a puppetserver without PuppetDB the directory yaml/facts below its vardir. Unset: rules see names alone.",
    ),
    Key {
        path: "access_file",
        default: "access.yaml",
        pe: "",
        help: "Roles, who has them, and client certificates that stand for a login. Need not be there.",
        reloads: true,
    },
    key(
        "secrets_file",
        "null",
        "",
        "The key that sensitive parameters of unfinished jobs are sealed with; made when it is not there. Unset: secrets.key in data_dir. Keep it apart from backups of the database, and with it for a restore elsewhere.",
    ),
    key(
        "modulepath",
        "[modules]",
        "",
        "Directories with modules whose tasks are offered, the first match wins. An environment may name its own.",
    ),
    key("server.listen", "\"[::]:8143\"", "orchestrator ssl-port", "Address and port of API and dashboard."),
    key(
        "server.names",
        "[localhost]",
        "",
        "Names and addresses by which clients reach the service; the first one stands in links when neither public_url nor the request's Host decides.",
    ),
    key(
        "server.public_url",
        "null",
        "",
        "Base of all links in answers, for example https://orch.example.com:8143. Unset: the request's Host, if it is one of server.names.",
    ),
    key("server.workers", "null", "", "Threads that answer HTTP requests. Unset: one per core."),
    key("server.body_limit", "16 MiB", "", "The largest request body that is read."),
    key(
        "server.max_connections",
        "10000",
        "",
        "The most connections of API clients at once; more are refused with 503. From three quarters on, none is kept after its answer.",
    ),
    key(
        "server.drain_timeout",
        "1m",
        "",
        "How long a stop waits for nodes that run; what runs longer goes on at its agent, and its outcome is taken at the next start.",
    ),
    key("broker.listen", "\"[::]:8142\"", "pcp-broker ssl-port", "Address and port for the nodes' agents."),
    key("broker.idle_timeout", "6m", "pcp-broker idle-timeout", "A session that is silent for so long is closed."),
    key(
        "broker.settle_time",
        "1m 30s",
        "",
        "After a start of the service, no run is ended for a missing connection or answer before this time is over: agents need time to come back.",
    ),
    key(
        "broker.max_connections",
        "15000",
        "pcp-broker max-connections",
        "The most sessions at once; more are refused with 503.",
    ),
    key(
        "broker.max_message_size",
        "64 MiB",
        "pcp-broker max-message-size",
        "The largest message that an agent may send.",
    ),
    key(
        "broker.max_inflight",
        "512 MiB",
        "",
        "Memory for messages over 64 KiB that arrive at once, from all agents; the next ones wait their turn. Never less than max_message_size, which a message in fragments takes until its last one.",
    ),
    key("broker.controllers", "[]", "", "Certificate names that may connect as something else than an agent."),
    key("ssl.cert", "ssl/cert.pem", "ssl-cert", "The service's certificate, followed by intermediates, if any."),
    key("ssl.key", "ssl/key.pem", "ssl-key", "Its private key."),
    key("ssl.ca", "ssl/ca.pem", "ssl-ca-cert", "Bundle of the CA certificates that sign nodes."),
    key(
        "ssl.crl",
        "ssl/crl.pem",
        "ssl-crl-path",
        "Bundle of revocation lists; null turns revocation checks off. Read again at SIGHUP.",
    ),
    key(
        "puppetserver.url",
        "null",
        "",
        "A puppetserver, as https://puppet.example.com:8140: it has the environments that have no file here, and the tasks of all whose file names no modulepath.",
    ),
    key(
        "puppetserver.cert",
        "null",
        "",
        "The certificate to show there. Unset: ssl.cert, for which ssl must be of Puppet's CA.",
    ),
    key("puppetserver.key", "null", "", "Its private key."),
    key("puppetserver.ca", "null", "", "Bundle of the CA certificates that sign puppetserver. Unset: ssl.ca."),
    key("puppetserver.timeout", "15s", "", "The longest that one question to it may take."),
    key(
        "puppetdb.url",
        "null",
        "",
        "A PuppetDB, as https://puppetdb.example.com:8081: it answers queries, and has facts for the rules of groups and reports of runs. Our certificate name must stand in its certificate-allowlist.",
    ),
    key("puppetdb.cert", "null", "", "The certificate to show there. Unset: ssl.cert."),
    key("puppetdb.key", "null", "", "Its private key."),
    key("puppetdb.ca", "null", "", "Bundle of the CA certificates that sign PuppetDB. Unset: ssl.ca."),
    key("puppetdb.timeout", "15s", "", "The longest that one question to it may take."),
    key(
        "limits.concurrent_compiles",
        "8",
        "global_concurrent_compiles",
        "Catalogs that may be compiled at once, over all jobs. A run counts until its catalog is there.",
    ),
    key("limits.concurrent_runs", "200", "", "Puppet runs at once, over all jobs."),
    key("limits.concurrent_tasks", "250", "task_concurrency", "Task runs at once, over all jobs."),
    key(
        "limits.compile_hold",
        "30s",
        "",
        "How long a run counts as compiling when its agent does not report that the catalog is there.",
    ),
    key("limits.deploy_timeout", "1h", "default deploy timeout", "The longest that one Puppet run may take."),
    key("limits.task_timeout", "1h", "default task timeout", "The longest that one task run may take."),
    key("limits.job_timeout", "1day", "", "Nodes that have not started so long after the job's creation are skipped."),
    key("limits.connect_timeout", "30s", "pcp_timeout", "How long a node whose turn it is may take to connect."),
    key(
        "limits.lost_contact",
        "7m",
        "allowed_pcp_status_requests (35 x 12 s)",
        "A running node that is away or silent for so long is given up.",
    ),
    key("limits.cancel_timeout", "30s", "", "How long an agent may take to confirm that a run was ended by force."),
    key(
        "limits.abandoned_hold",
        "10m",
        "",
        "How long a run that ended without its agent's word still counts in the limits.",
    ),
    key(
        "limits.resend_window",
        "1h",
        "",
        "A request that never arrived is sent again only within this time after its start.",
    ),
    key(
        "limits.resend_to_pxp_agents",
        "true",
        "",
        "Whether that holds for pxp-agent too, which cannot tell a lost spool from a request that never came.",
    ),
    key("limits.status_timeout", "12s", "", "How long a status query may stay unanswered."),
    key("limits.status_interval", "2m", "", "How often a silent run is asked about."),
    key(
        "limits.plan_silence",
        "1day",
        "",
        "A plan job whose runner says nothing for so long, and of which no job goes on, is ended as a failure.",
    ),
    key("limits.job_nodes", "200000", "", "The most nodes of one job."),
    key("limits.output", "1 MiB", "", "The most output that is kept of one run; what is cut is marked."),
    key(
        "retention.jobs",
        "30days",
        "",
        "Jobs that ended before so long ago are removed with everything of them; null keeps them for ever. One that has left a hold stays until that is over.",
    ),
    key(
        "retention.output",
        "7days",
        "",
        "What runs printed and the resource events of their reports are removed so long after the end of their job; answers then say so. null keeps them as long as the job.",
    ),
    key(
        "retention.audit",
        "400days",
        "",
        "Entries of the audit log are removed when they are so old; null keeps them for ever.",
    ),
    key("backup.dir", "null", "", "Where scheduled backups go, best on another disk. Unset: none are made."),
    key("backup.every", "1day", "", "How often."),
    key("backup.keep", "7", "", "How many of them stay; older ones are removed."),
    key("engine.threads", "null", "", "Threads for jobs and their nodes. Unset: one per core."),
    key(
        "engine.hang_timeout",
        "1m",
        "",
        "An actor that shows no sign of life for so long hangs: the service is then no longer live.",
    ),
    Key {
        path: "log.level",
        default: "info",
        pe: "logback level",
        help: "error, warn, info, debug or trace, or a filter such as info,bunraku::broker=debug.",
        reloads: true,
    },
    key("log.format", "human", "", "human or json; both go to standard error."),
];

-- Schema 6: what is kept beside jobs: plan jobs, scheduled jobs, task targets, keys of commands, users, the audit log, usage.

INSERT INTO counters (name, value) VALUES ('plan', 0), ('plan_event', 0), ('schedule', 0), ('task_target', 0), ('audit', 0);

-- The plan job that runs a job, and the jobs that run its nodes again, as a JSON array.
ALTER TABLE jobs ADD COLUMN plan_job INTEGER;
ALTER TABLE jobs ADD COLUMN retries TEXT;
CREATE INDEX jobs_by_plan ON jobs (plan_job) WHERE plan_job IS NOT NULL;

-- Commands that happen once, with what they made: as JSON, see `records/once.rs`.
CREATE TABLE once_keys (
    owner       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    answer      TEXT NOT NULL,
    until       INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_keys_by_end ON once_keys (until);

CREATE TABLE plan_jobs (
    id          INTEGER PRIMARY KEY,
    state       TEXT NOT NULL,
    environment TEXT NOT NULL,
    owner       TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    finished_at INTEGER,
    spec        BLOB NOT NULL,
    result      BLOB
) STRICT;
CREATE INDEX plan_jobs_by_finish ON plan_jobs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE plan_events (
    seq    INTEGER PRIMARY KEY,
    plan   INTEGER NOT NULL REFERENCES plan_jobs (id) ON DELETE CASCADE,
    kind   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    detail BLOB NOT NULL
) STRICT;
CREATE INDEX plan_events_by_plan ON plan_events (plan);

-- `next_run` is null when nothing is to come; `last` is what the last turn made.
CREATE TABLE schedules (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    environment TEXT NOT NULL,
    owner       TEXT NOT NULL,
    enabled     INTEGER NOT NULL,
    next_run    INTEGER,
    spec        BLOB NOT NULL,
    last        BLOB
) STRICT;
CREATE INDEX schedules_due ON schedules (next_run) WHERE enabled = 1 AND next_run IS NOT NULL;

CREATE TABLE task_targets (
    id   INTEGER PRIMARY KEY,
    spec BLOB NOT NULL
) STRICT;

-- Passwords as argon2 hashes.
CREATE TABLE users (
    id           BLOB PRIMARY KEY,
    login        TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    email        TEXT NOT NULL,
    password     TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_login   INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

-- Append-only. `about` is JSON.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    login   TEXT NOT NULL,
    address TEXT NOT NULL,
    action  TEXT NOT NULL,
    outcome TEXT NOT NULL,
    about   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at);

-- What a day came to, and while it lasts the nodes that are counted in it already.
CREATE TABLE usage_days (
    day           TEXT PRIMARY KEY,
    with_agent    INTEGER NOT NULL DEFAULT 0,
    by_tasks      INTEGER NOT NULL DEFAULT 0,
    by_plans      INTEGER NOT NULL DEFAULT 0,
    corrective    INTEGER NOT NULL DEFAULT 0,
    intentional   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_nodes (
    day  TEXT NOT NULL,
    kind TEXT NOT NULL,
    node TEXT NOT NULL,
    PRIMARY KEY (day, kind, node)
) STRICT, WITHOUT ROWID;

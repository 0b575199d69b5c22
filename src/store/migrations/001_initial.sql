-- Schema 1. Times are microseconds since 1970 (UTC); states, kinds and causes stand under their wire names.
-- Packed columns (BLOB) hold one tag byte and JSON, deflated when it is long: see `columns.rs`.

-- The last number given out of each sequence. Updated in the transaction that uses the numbers: none is ever burnt.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('job', 0), ('event', 0), ('probe', 0);

-- What changes of a job, and what lists filter and sort by: short rows, rewritten with every group.
CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    task        TEXT,
    environment TEXT NOT NULL,
    owner       TEXT NOT NULL,
    state       TEXT NOT NULL,
    stop        TEXT,
    counts      TEXT NOT NULL,
    changed_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;
CREATE INDEX jobs_by_change ON jobs (changed_at);
CREATE INDEX jobs_by_finish ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (id) WHERE finished_at IS NULL;

-- What is fixed at creation. The header comes first so that lists never walk through the specification.
CREATE TABLE job_specs (
    job    INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    header BLOB NOT NULL,
    spec   BLOB NOT NULL
) STRICT;

CREATE TABLE job_states (
    job      INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    state    TEXT NOT NULL,
    entered  INTEGER NOT NULL,
    left     INTEGER,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

-- One row per node of a job; `node` is its place in name order. The message is that of the latest event.
CREATE TABLE job_nodes (
    job              INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    node             INTEGER NOT NULL,
    state            TEXT NOT NULL,
    cause            TEXT,
    attempt          INTEGER,
    transaction_id   BLOB,
    started_at       INTEGER,
    finished_at      INTEGER,
    changed_at       INTEGER NOT NULL,
    deadline         INTEGER,
    accepted         INTEGER NOT NULL DEFAULT 0,
    spool            TEXT,
    transaction_uuid TEXT,
    latest_event     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, node)
) STRICT, WITHOUT ROWID;

-- The truth: append-only. `detail` is null where it follows from the result or from the message.
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    node    INTEGER,
    detail  TEXT,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_job ON events (job);

-- What a run left behind, once: keyed by the event of its end, which joins it. Large columns last.
CREATE TABLE results (
    seq             INTEGER PRIMARY KEY REFERENCES events (seq) ON DELETE CASCADE,
    details         BLOB,
    result          BLOB,
    resource_events BLOB
) STRICT;

-- Decisions about many nodes. Each counts from its commit on; `done` of its nodes have their rows and events.
CREATE TABLE decisions (
    id    INTEGER PRIMARY KEY,
    job   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    body  BLOB NOT NULL,
    done  INTEGER NOT NULL
) STRICT;
CREATE INDEX decisions_by_job ON decisions (job);

-- Runs that ended without their agent's word and may still be going on.
CREATE TABLE holds (
    transaction_id BLOB PRIMARY KEY,
    job            INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    node           TEXT NOT NULL,
    until          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_job ON holds (job);

-- Only hashes of tokens are kept.
CREATE TABLE tokens (
    id           BLOB PRIMARY KEY,
    hash         BLOB NOT NULL UNIQUE,
    owner_id     BLOB NOT NULL,
    login        TEXT NOT NULL,
    display_name TEXT NOT NULL,
    role         TEXT NOT NULL,
    description  TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_login ON tokens (login);

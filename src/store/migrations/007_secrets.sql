-- Sensitive parameters of jobs that are not over, sealed by a key that is not in here.
CREATE TABLE job_secrets (
    job    INTEGER PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- Schema 5: retention.

-- Whether the output of its runs was removed.
ALTER TABLE jobs ADD COLUMN output_pruned INTEGER NOT NULL DEFAULT 0;

-- Jobs that were removed. They have no row in `jobs` any more, so that nobody sees them; what else they had is removed in
-- pieces, and the last piece removes the row here.
CREATE TABLE pruned_jobs (
    job INTEGER PRIMARY KEY
) STRICT;
-- Where the next output to remove is.
CREATE INDEX jobs_with_output ON jobs (finished_at) WHERE output_pruned = 0;

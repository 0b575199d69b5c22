-- Schema 3: counts by cause, and what agents said too late.

-- Null on jobs from before: readers count the causes of their nodes.
ALTER TABLE jobs ADD COLUMN causes TEXT;

-- What an agent said of a run whose node had ended without its word. Packed, one per node.
CREATE TABLE late_answers (
    job    INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    node   INTEGER NOT NULL,
    answer BLOB NOT NULL,
    PRIMARY KEY (job, node)
) STRICT;

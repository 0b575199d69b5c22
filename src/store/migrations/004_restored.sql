-- Schema 4: jobs that came back with a backup, and what a restore did to the numbers.
ALTER TABLE jobs ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;

-- Numbers are otherwise gap-free. `after` is the last one before the gap, `until` the last one of the gap.
CREATE TABLE number_jumps (
    at    INTEGER NOT NULL,
    name  TEXT NOT NULL,
    after INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;

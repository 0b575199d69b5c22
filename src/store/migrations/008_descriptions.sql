-- What people wrote about a job, beside its header, so that jobs can be found by it. Jobs from before have it in the header only.
ALTER TABLE jobs ADD COLUMN description TEXT NOT NULL DEFAULT '';

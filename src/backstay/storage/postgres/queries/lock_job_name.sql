-- Lock the id of a job that does not exist yet, so that only one transaction creates it.
SELECT pg_advisory_xact_lock(hashtextextended('{schema} job ' || :owner::text || ' ' || :job_id::text, 0))

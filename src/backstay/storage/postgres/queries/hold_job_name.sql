-- Nobody else gives this name to a job.
SELECT pg_advisory_xact_lock(hashtextextended('{schema} job ' || :owner::text || ' ' || :job_id::text, 0))

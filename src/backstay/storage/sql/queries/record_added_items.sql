-- Count items that were added to a job.
UPDATE {schema}.jobs
   SET state = :state, pending = pending + :added, cleaned_at = NULL, finished_at = NULL, updated_at = :now
 WHERE key = :job_key
   AND owner = :owner

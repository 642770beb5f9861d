-- Insert an attempt for each item of a new job that was imported as failed.
INSERT INTO {schema}.attempts (job_key, position, number, owner, worker, result, error_code, error_message, started_at,
                               ended_at)
SELECT items.job_key, items.position, 1, items.owner, :token, 'failed', 'legacy_failure', legacy.error, :now, :now
  FROM {schema}.legacy_settled AS legacy
  JOIN {schema}.items ON items.job_key = :job_key AND items.id = legacy.item_id
 WHERE items.owner = :owner
   AND legacy.owner = :owner
   AND legacy.job_id = :job_id
   AND legacy.error IS NOT NULL

-- Insert the attempts of a new job's items that the legacy library recorded as failed.
INSERT INTO {schema}.attempts (job_key, position, number, owner, worker, result, error_code, error_message, started_at,
                               ended_at)
SELECT items.job_key, items.position, 1, items.owner, :token, 'failed', 'taken_over', legacy.error, :now, :now
  FROM {schema}.legacy_settled AS legacy
  JOIN {schema}.items ON items.job_key = :job_key AND items.id = legacy.item_id
 WHERE items.owner = :owner
   AND legacy.owner = :owner
   AND legacy.job_id = :job_id
   AND legacy.error IS NOT NULL

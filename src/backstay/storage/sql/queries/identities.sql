-- Return the ids of a job's items with their digests, and those of the input for edited ones, in order; positions have
-- no gaps.
SELECT items.position, items.id, items.digest, items.original_digest
  FROM {schema}.items
  JOIN {schema}.jobs ON jobs.key = items.job_key
 WHERE jobs.owner = :owner
   AND jobs.id = :job_id
   AND items.position > :after
   AND items.position <= CAST(:after AS bigint) + :limit
 ORDER BY items.position

-- Copy the first items of a job into a job that is being created, edited ones as the input has them.
INSERT INTO {schema}.items (job_key, position, owner, id, digest)
SELECT :staged, items.position, items.owner, items.id, coalesce(items.original_digest, items.digest)
  FROM {schema}.items
  JOIN {schema}.jobs ON jobs.key = items.job_key
 WHERE jobs.owner = :owner
   AND jobs.id = :job_id
   AND items.position >= :first
   AND items.position < :upto

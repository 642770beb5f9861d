-- Return the existing jobs that made the selected conversations.
SELECT id
  FROM {schema}.jobs
 WHERE owner = :owner
   AND id IN (SELECT job_id FROM {schema}.conversations WHERE owner = :owner {selected})
 ORDER BY key

-- Return jobs of an owner, the latest first, with their counters plus those of their workers.
SELECT jobs.key, jobs.id, jobs.owner, jobs.state, jobs.processor, jobs.settings, jobs.recipe, jobs.revision,
       CAST(jobs.pending    + coalesce(sum(workers.pending), 0) AS bigint),
       CAST(jobs.running    + coalesce(sum(workers.running), 0) AS bigint),
       CAST(jobs.completed  + coalesce(sum(workers.completed), 0) AS bigint),
       CAST(jobs.failed     + coalesce(sum(workers.failed), 0) AS bigint),
       CAST(jobs.skipped    + coalesce(sum(workers.skipped), 0) AS bigint),
       CAST(jobs.tokens_in  + coalesce(sum(workers.tokens_in), 0) AS bigint),
       CAST(jobs.tokens_out + coalesce(sum(workers.tokens_out), 0) AS bigint),
       count(workers.token), max(workers.waiting), jobs.pause_code, jobs.pause_message, jobs.pause_evidence,
       jobs.cleaned_at, jobs.created_at,
       CASE WHEN max(workers.committed_at) > jobs.updated_at THEN max(workers.committed_at) ELSE jobs.updated_at END,
       jobs.finished_at, max(regenerations.source_job_id), max(regenerations.backup_id)
  FROM {schema}.jobs
  LEFT JOIN {schema}.workers ON workers.job_key = jobs.key
  LEFT JOIN {schema}.regenerations ON regenerations.job_key = jobs.key
 WHERE jobs.owner = :owner
   AND jobs.state <> 'creating'
   AND jobs.key < :before
   AND (NOT :incomplete OR jobs.state IN ('pending', 'running', 'paused'))
 GROUP BY jobs.key
 ORDER BY jobs.key DESC
 LIMIT :limit

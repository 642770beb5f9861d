-- A job by name, its counts summed over its workers.
SELECT jobs.key, jobs.id, jobs.owner, jobs.state, jobs.processor, jobs.settings, jobs.recipe,
       (jobs.pending    + coalesce(sum(workers.pending), 0))::bigint,
       (jobs.running    + coalesce(sum(workers.running), 0))::bigint,
       (jobs.completed  + coalesce(sum(workers.completed), 0))::bigint,
       (jobs.failed     + coalesce(sum(workers.failed), 0))::bigint,
       (jobs.skipped    + coalesce(sum(workers.skipped), 0))::bigint,
       (jobs.tokens_in  + coalesce(sum(workers.tokens_in), 0))::bigint,
       (jobs.tokens_out + coalesce(sum(workers.tokens_out), 0))::bigint,
       count(workers.token), max(workers.waiting), jobs.pause_code, jobs.pause_message, jobs.pause_evidence,
       jobs.cleaned_at, jobs.created_at, greatest(jobs.updated_at, max(workers.committed_at)), jobs.finished_at
  FROM {schema}.jobs
  LEFT JOIN {schema}.workers ON workers.job_key = jobs.key
 WHERE jobs.owner = :owner
   AND jobs.id = :job_id
 GROUP BY jobs.key

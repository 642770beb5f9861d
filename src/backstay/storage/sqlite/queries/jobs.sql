-- Jobs, the latest first, their counts summed over their workers.
SELECT jobs.key, jobs.id, jobs.owner, jobs.state, jobs.processor, jobs.settings, jobs.recipe,
       jobs.pending    + coalesce(sum(workers.pending), 0),
       jobs.running    + coalesce(sum(workers.running), 0),
       jobs.completed  + coalesce(sum(workers.completed), 0),
       jobs.failed     + coalesce(sum(workers.failed), 0),
       jobs.skipped    + coalesce(sum(workers.skipped), 0),
       jobs.tokens_in  + coalesce(sum(workers.tokens_in), 0),
       jobs.tokens_out + coalesce(sum(workers.tokens_out), 0),
       count(workers.token), max(workers.waiting), jobs.pause_code, jobs.pause_message, jobs.pause_evidence,
       jobs.cleaned_at, jobs.created_at, max(jobs.updated_at, coalesce(max(workers.committed_at), 0)), jobs.finished_at
  FROM jobs
  LEFT JOIN workers ON workers.job_key = jobs.key
 WHERE jobs.owner = :owner
   AND jobs.state <> 'creating'
   AND jobs.key < :before
   AND (NOT :incomplete OR jobs.state IN ('pending', 'running', 'paused'))
 GROUP BY jobs.key
 ORDER BY jobs.key DESC
 LIMIT :limit

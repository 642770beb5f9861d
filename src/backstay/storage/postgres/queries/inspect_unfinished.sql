-- Jobs of one owner with work left, their counts summed over their workers.
SELECT jobs.id, jobs.state,
       (jobs.completed + jobs.failed + jobs.skipped
           + coalesce(sum(workers.completed + workers.failed + workers.skipped), 0))::bigint,
       (jobs.pending + jobs.running + jobs.completed + jobs.failed + jobs.skipped
           + coalesce(sum(workers.pending + workers.running + workers.completed + workers.failed + workers.skipped), 0)
       )::bigint, jobs.processor
  FROM {schema}.jobs
  LEFT JOIN {schema}.workers ON workers.job_key = jobs.key
 WHERE jobs.owner = :owner
   AND jobs.state IN ('pending', 'running', 'paused')
 GROUP BY jobs.key
 ORDER BY jobs.key DESC

-- Return the unfinished jobs of an owner, the latest first, with how many items are settled and how many there are.
SELECT jobs.id, jobs.state,
       CAST(jobs.completed + jobs.failed + jobs.skipped
            + coalesce(sum(workers.completed + workers.failed + workers.skipped), 0) AS bigint),
       CAST(jobs.pending + jobs.running + jobs.completed + jobs.failed + jobs.skipped
            + coalesce(sum(workers.pending + workers.running + workers.completed + workers.failed
                           + workers.skipped), 0) AS bigint), jobs.processor
  FROM {schema}.jobs
  LEFT JOIN {schema}.workers ON workers.job_key = jobs.key
 WHERE jobs.owner = :owner
   AND jobs.state IN ('pending', 'running', 'paused')
 GROUP BY jobs.key
 ORDER BY jobs.key DESC

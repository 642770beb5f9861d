-- Return the state and the counters of a job, as a worker's transaction sees them.
SELECT jobs.state,
       CAST(jobs.pending    + sum(workers.pending) AS bigint),
       CAST(jobs.running    + sum(workers.running) AS bigint),
       CAST(jobs.completed  + sum(workers.completed) AS bigint),
       CAST(jobs.failed     + sum(workers.failed) AS bigint),
       CAST(jobs.skipped    + sum(workers.skipped) AS bigint),
       CAST(jobs.tokens_in  + sum(workers.tokens_in) AS bigint),
       CAST(jobs.tokens_out + sum(workers.tokens_out) AS bigint)
  FROM {schema}.jobs
  JOIN {schema}.workers ON workers.job_key = jobs.key
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
 GROUP BY jobs.key

-- Where a job stands, as a worker's transaction sees it.
SELECT jobs.state,
       (jobs.pending    + sum(workers.pending))::bigint,
       (jobs.running    + sum(workers.running))::bigint,
       (jobs.completed  + sum(workers.completed))::bigint,
       (jobs.failed     + sum(workers.failed))::bigint,
       (jobs.skipped    + sum(workers.skipped))::bigint,
       (jobs.tokens_in  + sum(workers.tokens_in))::bigint,
       (jobs.tokens_out + sum(workers.tokens_out))::bigint
  FROM {schema}.jobs
  JOIN {schema}.workers ON workers.job_key = jobs.key
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
 GROUP BY jobs.key

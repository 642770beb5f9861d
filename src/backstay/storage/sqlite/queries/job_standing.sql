-- Where a job stands, as a worker's transaction sees it.
SELECT jobs.state,
       jobs.pending    + sum(workers.pending),
       jobs.running    + sum(workers.running),
       jobs.completed  + sum(workers.completed),
       jobs.failed     + sum(workers.failed),
       jobs.skipped    + sum(workers.skipped),
       jobs.tokens_in  + sum(workers.tokens_in),
       jobs.tokens_out + sum(workers.tokens_out)
  FROM jobs
  JOIN workers ON workers.job_key = jobs.key
 WHERE jobs.key = :job_key
   AND jobs.owner = :owner
 GROUP BY jobs.key

-- Add the counters of an ending worker to those of its job.
UPDATE {schema}.jobs
   SET pending = jobs.pending + workers.pending, running = jobs.running + workers.running,
       completed = jobs.completed + workers.completed, failed = jobs.failed + workers.failed,
       skipped = jobs.skipped + workers.skipped, tokens_in = jobs.tokens_in + workers.tokens_in,
       tokens_out = jobs.tokens_out + workers.tokens_out, updated_at = :now
  FROM {schema}.workers
 WHERE workers.token = :token
   AND jobs.key = workers.job_key
   AND jobs.owner = :owner

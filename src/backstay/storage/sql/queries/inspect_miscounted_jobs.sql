-- Return the jobs whose counters differ from the number of their items.
SELECT counted.owner, counted.id
  FROM (SELECT jobs.key, jobs.owner, jobs.id,
               jobs.pending   + coalesce(sum(workers.pending), 0)   AS pending,
               jobs.running   + coalesce(sum(workers.running), 0)   AS running,
               jobs.completed + coalesce(sum(workers.completed), 0) AS completed,
               jobs.failed    + coalesce(sum(workers.failed), 0)    AS failed,
               jobs.skipped   + coalesce(sum(workers.skipped), 0)   AS skipped
          FROM {schema}.jobs
          LEFT JOIN {schema}.workers ON workers.job_key = jobs.key
         WHERE jobs.id IS NOT NULL
         GROUP BY jobs.key) AS counted
  LEFT JOIN (SELECT job_key,
                    count(*) FILTER (WHERE state = 'pending')   AS pending,
                    count(*) FILTER (WHERE state = 'running')   AS running,
                    count(*) FILTER (WHERE state = 'completed') AS completed,
                    count(*) FILTER (WHERE state = 'failed')    AS failed,
                    count(*) FILTER (WHERE state = 'skipped')   AS skipped
               FROM {schema}.items
              GROUP BY job_key) AS actual ON actual.job_key = counted.key
 WHERE (counted.pending, counted.running, counted.completed, counted.failed, counted.skipped)
       IS DISTINCT FROM (coalesce(actual.pending, 0), coalesce(actual.running, 0), coalesce(actual.completed, 0),
                         coalesce(actual.failed, 0), coalesce(actual.skipped, 0))
 ORDER BY counted.key

-- Count the records of one kind that other owners have, and count those owners.
SELECT count(DISTINCT owner), count(*)
  FROM (SELECT owner FROM {schema}.jobs
         WHERE :noun = 'job' AND state <> 'creating'
         UNION ALL
        SELECT owner FROM {schema}.jobs
         WHERE :noun = 'unfinished job' AND state IN ('pending', 'running', 'paused')
         UNION ALL
        SELECT owner FROM {schema}.legacy_jobs
         WHERE :noun IN ('job', 'unfinished job')
         UNION ALL
        SELECT owner FROM {schema}.conversations
         WHERE :noun = 'conversation'
         UNION ALL
        SELECT owner FROM {schema}.backups
         WHERE :noun = 'backup' AND state <> 'expired' AND removed_at IS NULL
       ) AS records
 WHERE owner <> :owner

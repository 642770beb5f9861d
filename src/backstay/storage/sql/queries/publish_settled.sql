-- creating → paused: its items are settled, as far as they are known
UPDATE {schema}.jobs
   SET id = :job_id, state = 'paused', processor = :processor, settings = :settings, pause_code = :pause_code,
       pause_message = :pause_message, updated_at = :now, completed = counted.completed, failed = counted.failed
  FROM (SELECT count(*) FILTER (WHERE state = 'completed') AS completed,
               count(*) FILTER (WHERE state = 'failed')    AS failed
          FROM {schema}.items WHERE items.job_key = :job_key) AS counted
 WHERE key = :job_key
   AND owner = :owner
   AND jobs.state = 'creating'
   AND NOT EXISTS (SELECT 1 FROM {schema}.jobs AS others WHERE others.owner = :owner AND others.id = :job_id)

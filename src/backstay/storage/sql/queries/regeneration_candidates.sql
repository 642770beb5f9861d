-- Return conversations, each with the item that it results from, and an unfinished job that is to replace it.
WITH requested (key) AS ({rows:bigint})
SELECT made.key, made.id, made.job_id, made.item_id, jobs.key, items.position, items.digest,
       items.state = 'completed' AND items.conversation_id = made.id,
       (SELECT max(others.id)
          FROM {schema}.replacements AS planned
          JOIN {schema}.items AS held ON held.job_key = planned.job_key AND held.position = planned.position
          JOIN {schema}.jobs AS others ON others.key = planned.job_key
         WHERE planned.owner = :1
           AND planned.old_id = made.id
           AND planned.new_id IS NULL
           AND held.state IN ('pending', 'running')
           AND others.state IN ('pending', 'running', 'paused'))
  FROM requested
 CROSS JOIN {schema}.conversations AS made
  LEFT JOIN {schema}.jobs ON jobs.owner = :1 AND jobs.id = made.job_id
  LEFT JOIN {schema}.items ON items.job_key = jobs.key AND items.id = made.item_id
 WHERE made.owner = :1
   AND made.key = requested.key
 ORDER BY made.key

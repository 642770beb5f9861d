-- running → completed, skipped, failed or pending, for the attempt that this worker holds
WITH ended (position, attempt, state, conversation_id, tries, available_at)
        AS ({rows:bigint,integer,text,text,integer,bigint})
UPDATE {schema}.items
   SET state = ended.state, conversation_id = ended.conversation_id, tries = items.tries + ended.tries,
       available_at = ended.available_at, worker = NULL, alone = FALSE, started_at = NULL
  FROM ended
 WHERE items.job_key = :2
   AND items.position = ended.position
   AND items.attempt = ended.attempt
   AND items.worker = :1
   AND items.state = 'running'

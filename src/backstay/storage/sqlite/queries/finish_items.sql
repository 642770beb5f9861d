-- running → completed, skipped, failed or pending, for the attempt that this worker holds
WITH lease (token, job_key) AS (VALUES (:1, :2)),
     ended (position, attempt, state, conversation_id, tries, available_at) AS ({rows:bigint,integer,text,text,integer,bigint})
UPDATE items
   SET state = ended.state, conversation_id = ended.conversation_id, tries = items.tries + ended.tries,
       available_at = ended.available_at, worker = NULL, alone = 0, started_at = NULL
  FROM lease, ended
 WHERE items.job_key = lease.job_key
   AND items.position = ended.position
   AND items.attempt = ended.attempt
   AND items.worker = lease.token
   AND items.state = 'running'

-- Change the state of a job, and replace the reasons of its pause.
UPDATE {schema}.jobs
   SET state = :state, pause_code = :pause_code, pause_message = :pause_message,
       pause_evidence = :pause_evidence, updated_at = :now, finished_at = :finished_at
 WHERE key = :job_key
   AND owner = :owner

-- any → creating, without an id: the job is about to be discarded
UPDATE {schema}.jobs
   SET id = NULL, state = 'creating', updated_at = :now
 WHERE key = :job_key
   AND owner = :owner

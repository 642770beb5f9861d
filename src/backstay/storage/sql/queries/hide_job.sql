-- any → creating, without a name: about to be removed
UPDATE {schema}.jobs
   SET id = NULL, state = 'creating', updated_at = :now
 WHERE key = :job_key
   AND owner = :owner

-- any → creating, without a name: about to be removed
UPDATE jobs
   SET id = NULL, state = 'creating', updated_at = :now
 WHERE key = :job_key
   AND owner = :owner

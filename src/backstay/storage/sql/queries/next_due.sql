-- Return when the next pending item that may run alongside others is due.
SELECT min(available_at)
  FROM {schema}.items {indexed_by:items_pending}
 WHERE job_key = :job_key
   AND owner = :owner
   AND state = 'pending'
   AND interruptions < :suspect_interruptions

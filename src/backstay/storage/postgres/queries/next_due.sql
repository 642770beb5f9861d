-- When the next pending item may be claimed beside others, and whether one is there that must run alone.
SELECT min(available_at) FILTER (WHERE interruptions < :max_interruptions),
       coalesce(bool_or(interruptions >= :max_interruptions), FALSE)
  FROM {schema}.items
 WHERE job_key = :job_key
   AND owner = :owner
   AND state = 'pending'

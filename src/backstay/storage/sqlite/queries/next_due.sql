-- When the next pending item may be claimed beside others, and whether one is there that must run alone.
SELECT min(available_at) FILTER (WHERE interruptions < :max_interruptions),
       coalesce(max(interruptions >= :max_interruptions), 0)
  FROM items INDEXED BY items_pending
 WHERE job_key = :job_key
   AND owner = :owner
   AND state = 'pending'

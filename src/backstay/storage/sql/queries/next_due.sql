-- Return when the next pending item may be claimed with others, and whether an item waits that must run alone.
SELECT min(available_at) FILTER (WHERE interruptions < :max_interruptions),
       coalesce(max(CASE WHEN interruptions >= :max_interruptions THEN 1 ELSE 0 END), 0)
  FROM {schema}.items {indexed_by:items_pending}
 WHERE job_key = :job_key
   AND owner = :owner
   AND state = 'pending'

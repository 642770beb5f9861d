-- End the session that holds this worker's row while the server waits for its client: that process is suspended, or
-- its host is gone. This frees its locks at once.
SELECT pg_terminate_backend(activity.pid)
  FROM {schema}.workers
  JOIN pg_locks AS held ON held.locktype = 'transactionid' AND held.granted AND held.transactionid = workers.xmax
  JOIN pg_stat_activity AS activity ON activity.pid = held.pid
 WHERE workers.token = :token
   AND workers.owner = :owner
   AND workers.beat = :beat
   AND activity.usename = current_user
   AND activity.wait_event_type = 'Client'
   AND activity.state_change < clock_timestamp() - interval '1 second'

-- Nobody else holds this worker: who does, within a transaction in which the server waits for a word from its client, is
-- a process that sleeps, or a host that has vanished. Its session is ended, so that its locks are let go at once.
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

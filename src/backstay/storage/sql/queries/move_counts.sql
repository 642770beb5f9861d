-- A worker's counts move with the items, in the same transaction.
UPDATE {schema}.workers
   SET beat = beat + 1, committed_at = :now, pending = pending + :pending, running = running + :running,
       completed = completed + :completed, failed = failed + :failed, skipped = skipped + :skipped,
       tokens_in = tokens_in + :tokens_in, tokens_out = tokens_out + :tokens_out
 WHERE token = :token
   AND owner = :owner

-- Change a worker's counters, in the transaction that changes the items.
UPDATE {schema}.workers
   SET beat = beat + 1, committed_at = :now, pending = pending + :pending, running = running + :running,
       completed = completed + :completed, failed = failed + :failed, skipped = skipped + :skipped,
       tokens_in = tokens_in + :tokens_in, tokens_out = tokens_out + :tokens_out
 WHERE token = :token
   AND owner = :owner

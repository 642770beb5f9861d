-- Note which texts will have left no trace when the purge that begins now is finished.
UPDATE {schema}.removed_texts
   SET state = 'purging'
 WHERE state = 'removed'

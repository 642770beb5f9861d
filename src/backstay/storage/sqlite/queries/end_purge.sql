-- Forget the texts that have left no trace.
DELETE FROM {schema}.removed_texts
 WHERE state = 'purging'

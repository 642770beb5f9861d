-- Note that the text index has only traces of texts that were removed from it.
UPDATE {schema}.removed_texts
   SET state = 'removed'
 WHERE state = 'indexed'

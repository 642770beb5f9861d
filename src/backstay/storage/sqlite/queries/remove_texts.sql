-- Remove texts from the text index, but for the traces that a purge removes.
DELETE FROM {schema}.conversation_text
 WHERE rowid IN (SELECT key
                   FROM {schema}.removed_texts
                  WHERE state = 'indexed')

-- Delete the text index of all owners.
DROP TABLE {schema}.conversation_text;
DROP INDEX {schema}.conversation_index_without_text;
UPDATE {schema}.conversation_index
   SET has_text = FALSE
 WHERE has_text;
DELETE FROM {schema}.removed_texts

-- Delete the text index of all owners.
DO $drop$
BEGIN
    DROP INDEX {schema}.conversation_texts_by_trigram;
    DROP INDEX {schema}.conversation_index_without_text;
    TRUNCATE {schema}.conversation_texts;
    UPDATE {schema}.conversation_index SET has_text = FALSE WHERE has_text;
END
$drop$

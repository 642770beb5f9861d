-- Create the text index, and the extension that it needs.
DO $create$
DECLARE
    place  text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'extensions') THEN  -- where Supabase has them
            CREATE EXTENSION pg_trgm SCHEMA extensions;
        ELSE
            CREATE EXTENSION pg_trgm SCHEMA {schema};
        END IF;
    END IF;
    SELECT nspname INTO place
      FROM pg_extension
      JOIN pg_namespace ON pg_namespace.oid = extnamespace
     WHERE extname = 'pg_trgm';
    EXECUTE format('CREATE INDEX conversation_texts_by_trigram ON {schema}.conversation_texts'
                   ' USING gin (text %I.gin_trgm_ops)', place);
    CREATE INDEX conversation_index_without_text ON {schema}.conversation_index (owner, key) WHERE NOT has_text;
END
$create$

-- The texts of conversations can be searched by an index, which `backstay index build --text` creates.

-- Whether conversation_texts has the text of this entry's conversation as it was when the entry was made.
ALTER TABLE {schema}.conversation_index ADD COLUMN has_text boolean NOT NULL DEFAULT FALSE;

-- The texts of conversations, in lower case, that the text index is on. They are deleted with the entry.
CREATE TABLE {schema}.conversation_texts (
    owner  text COLLATE "C" NOT NULL,
    key    bigint NOT NULL,                          -- of the conversation
    text   text COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, key),
    FOREIGN KEY (owner, key) REFERENCES {schema}.conversation_index (owner, key) ON DELETE CASCADE
);

-- Next to Supabase's users, where jobs have a user_id since the third migration: only service_role may see them.
DO $supabase$
DECLARE
    one  record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.conversation_texts ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON {schema}.conversation_texts FROM PUBLIC;
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON {schema}.conversation_texts FROM %I', one.rolname);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT ALL ON {schema}.conversation_texts TO service_role;
        CREATE POLICY every_row ON {schema}.conversation_texts TO service_role USING (TRUE) WITH CHECK (TRUE);
    END IF;
END
$supabase$;

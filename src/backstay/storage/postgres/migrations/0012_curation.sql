-- What curators add to conversations: a review of each, and the versions that edits replaced. It goes with its conversation.
--
-- The foreign keys refer to the built-in table. An adoption lets them refer to its side table instead.

CREATE TABLE {schema}.conversation_reviews (
    conversation_key  bigint PRIMARY KEY,
    owner             text COLLATE "C" NOT NULL,
    status            text COLLATE "C" CHECK (status IN ('kept', 'rejected')),   -- NULL: unreviewed
    rating            integer CHECK (rating BETWEEN 1 AND 5),
    note              text,
    reviewer          text,                          -- who changed it last …
    reviewed_at       text COLLATE "C" NOT NULL      -- … and when
);

CREATE INDEX conversation_reviews_by_status ON {schema}.conversation_reviews (owner, status, conversation_key) WHERE status IS NOT NULL;
CREATE INDEX conversation_reviews_by_rating ON {schema}.conversation_reviews (owner, rating, conversation_key) WHERE rating IS NOT NULL;

CREATE TABLE {schema}.conversation_tags (
    conversation_key  bigint NOT NULL REFERENCES {schema}.conversation_reviews (conversation_key) ON DELETE CASCADE,
    tag               text COLLATE "C" NOT NULL,
    owner             text COLLATE "C" NOT NULL,
    PRIMARY KEY (conversation_key, tag)
);

CREATE INDEX conversation_tags_by_tag ON {schema}.conversation_tags (owner, tag, conversation_key);

CREATE TABLE {schema}.conversation_versions (
    conversation_key  bigint NOT NULL,
    number            integer NOT NULL,              -- from 1, which is the conversation as it was first stored
    owner             text COLLATE "C" NOT NULL,
    line              text NOT NULL,                 -- the conversation as a backup holds it
    editor            text,                          -- who replaced it …
    replaced_at       text COLLATE "C" NOT NULL,     -- … and when
    PRIMARY KEY (conversation_key, number)
);

CREATE INDEX conversation_versions_by_owner ON {schema}.conversation_versions (owner, conversation_key) WHERE number = 1;

DO $keys$
DECLARE
    kept  CONSTANT regclass := coalesce(to_regclass('{schema}.adopted_conversations'), to_regclass('{schema}.conversations'));
    named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['conversation_reviews', 'conversation_versions'] LOOP
        EXECUTE format(
            'ALTER TABLE {schema}.%1$I ADD CONSTRAINT %2$I FOREIGN KEY (conversation_key) REFERENCES %3$s (key) ON DELETE CASCADE',
            named, named || '_conversation_key_fkey', kept);
    END LOOP;
END
$keys$;

-- The digest of a conversation's review and versions in the backup; NULL without any. What was changed between the snapshot
-- and the delete is in `late_curation`, which a restore uses instead of what the file holds.
ALTER TABLE {schema}.backup_items ADD COLUMN curation_digest bytea;
ALTER TABLE {schema}.backup_items ADD COLUMN late_curation text;

-- Next to Supabase's users, where jobs have a user_id since the third migration: each user reads their own rows.
DO $supabase$
DECLARE
    added CONSTANT text[] := ARRAY['conversation_reviews', 'conversation_tags', 'conversation_versions'];
    named text;
    one   record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    FOREACH named IN ARRAY added LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', named);
        EXECUTE format('REVOKE ALL ON {schema}.%I FROM PUBLIC', named);
        FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON {schema}.%I FROM %I', named, one.rolname);
        END LOOP;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
            EXECUTE format('GRANT SELECT ON {schema}.%I TO authenticated', named);
            EXECUTE format('CREATE POLICY own_rows ON {schema}.%I FOR SELECT TO authenticated
                                   USING (owner = (SELECT {schema}.signed_in()))', named);
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
            EXECUTE format('GRANT ALL ON {schema}.%I TO service_role', named);
            EXECUTE format('CREATE POLICY every_row ON {schema}.%I TO service_role USING (TRUE) WITH CHECK (TRUE)', named);
        END IF;
    END LOOP;
END
$supabase$;

-- Making conversations again: the jobs that do it, and the conversation that each of their items replaces.

CREATE TABLE {schema}.regenerations (
    job_key         bigint PRIMARY KEY REFERENCES {schema}.jobs (key) ON DELETE CASCADE,
    owner           text COLLATE "C" NOT NULL,
    source_job_key  bigint NOT NULL,                 -- the job that made the conversations, which may be discarded since
    source_job_id   text COLLATE "C" NOT NULL,
    backup_id       text COLLATE "C" NOT NULL        -- holds what is not replaced yet
);

-- A planned replacement has no new_id. One that was made stays when its job is discarded.
CREATE TABLE {schema}.replacements (
    job_key          bigint NOT NULL,
    position         bigint NOT NULL,                -- of the item that makes the new conversation
    owner            text COLLATE "C" NOT NULL,
    old_id           text COLLATE "C" NOT NULL,
    row_version      bytea NOT NULL,                 -- of the old conversation when the job was created
    backup_position  bigint,                         -- in the backup of the regeneration; NULL: the backup does not hold it
    new_id           text COLLATE "C",
    backup_id        text COLLATE "C",               -- which holds the replaced one; NULL: it had been deleted before
    replaced_at      bigint,
    PRIMARY KEY (job_key, position)
);

CREATE INDEX replacements_by_old ON {schema}.replacements (owner, old_id);
CREATE INDEX replacements_by_new ON {schema}.replacements (owner, new_id) WHERE new_id IS NOT NULL;
CREATE INDEX replacements_by_backup ON {schema}.replacements (owner, backup_id) WHERE backup_id IS NOT NULL;

-- Next to Supabase's users, where jobs have a user_id since the third migration: rows go with their user, who reads them.
DO $supabase$
DECLARE
    added CONSTANT text[] := ARRAY['regenerations', 'replacements'];
    named text;
    one   record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    -- A regeneration goes with its job.
    ALTER TABLE {schema}.replacements ADD COLUMN user_id uuid GENERATED ALWAYS AS (
        CASE WHEN owner ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN owner::uuid END) STORED;
    ALTER TABLE {schema}.replacements ADD CONSTRAINT replacements_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE NOT VALID;
    CREATE INDEX replacements_by_user ON {schema}.replacements (user_id) WHERE user_id IS NOT NULL;
    ALTER TABLE {schema}.replacements VALIDATE CONSTRAINT replacements_user_id_fkey;
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

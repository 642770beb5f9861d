-- Recipes that came with conversations from a backup, for jobs that this database does not have, or has with another recipe.

CREATE TABLE {schema}.kept_recipes (
    owner        text COLLATE "C" NOT NULL,
    job_id       text COLLATE "C" NOT NULL,
    number       bigint NOT NULL,                    -- of the revision
    fingerprint  text COLLATE "C" NOT NULL,          -- in the key, because two libraries may have a job of the same name
    recipe       text NOT NULL,
    created_at   bigint NOT NULL,                    -- when it became the job's recipe
    PRIMARY KEY (owner, job_id, number, fingerprint)
);

-- Next to Supabase's users, where jobs have a user_id since the third migration: rows go with their user, who reads them.
DO $supabase$
DECLARE
    added CONSTANT text[] := ARRAY['kept_recipes'];
    named text;
    one   record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.kept_recipes ADD COLUMN user_id uuid GENERATED ALWAYS AS (
        CASE WHEN owner ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN owner::uuid END) STORED;
    ALTER TABLE {schema}.kept_recipes ADD CONSTRAINT kept_recipes_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE NOT VALID;
    CREATE INDEX kept_recipes_by_user ON {schema}.kept_recipes (user_id) WHERE user_id IS NOT NULL;
    ALTER TABLE {schema}.kept_recipes VALIDATE CONSTRAINT kept_recipes_user_id_fkey;
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

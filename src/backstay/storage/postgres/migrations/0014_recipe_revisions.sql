-- The recipe of a job has revisions, and an edited item keeps the digest of what the input says.

CREATE TABLE {schema}.recipe_revisions (
    job_key      bigint NOT NULL,
    number       bigint NOT NULL,                      -- from 1, without gaps
    owner        text COLLATE "C" NOT NULL,
    fingerprint  text COLLATE "C" NOT NULL,            -- SHA-256 of the recipe's canonical JSON: equal recipes have equal ones
    recipe       text NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (job_key, number)
);

CREATE INDEX recipe_revisions_by_fingerprint ON {schema}.recipe_revisions (owner, fingerprint);

-- The fingerprints of existing recipes are computed by the program, because only Python writes canonical JSON.
INSERT INTO {schema}.recipe_revisions (job_key, number, owner, fingerprint, recipe, created_at)
SELECT key, 1, owner, '', recipe, created_at
  FROM {schema}.jobs
 WHERE recipe IS NOT NULL;

ALTER TABLE {schema}.jobs ADD COLUMN revision bigint;  -- number of the current revision; NULL without a recipe
UPDATE {schema}.jobs SET revision = 1 WHERE recipe IS NOT NULL;

ALTER TABLE {schema}.items ADD COLUMN original_digest bytea;  -- of the input, if the item was edited since

-- Next to Supabase's users, where jobs have a user_id since the third migration: rows go with their job, and users see
-- their own.
DO $supabase$
DECLARE
    one  record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    CREATE OR REPLACE FUNCTION {schema}.drop_with_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = '' AS $sql$
    BEGIN
        DELETE FROM {schema}.workers WHERE job_key = OLD.key;
        DELETE FROM {schema}.failures WHERE job_key = OLD.key;
        DELETE FROM {schema}.attempts WHERE job_key = OLD.key;
        DELETE FROM {schema}.item_inputs WHERE job_key = OLD.key;
        DELETE FROM {schema}.input_blocks WHERE job_key = OLD.key;
        DELETE FROM {schema}.items WHERE job_key = OLD.key;
        DELETE FROM {schema}.recipe_revisions WHERE job_key = OLD.key;
        RETURN OLD;
    END
    $sql$;
    ALTER TABLE {schema}.recipe_revisions ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON {schema}.recipe_revisions FROM PUBLIC;
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON {schema}.recipe_revisions FROM %I', one.rolname);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        GRANT SELECT ON {schema}.recipe_revisions TO authenticated;
        CREATE POLICY own_rows ON {schema}.recipe_revisions FOR SELECT TO authenticated
            USING (owner = (SELECT {schema}.signed_in()));
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT ALL ON {schema}.recipe_revisions TO service_role;
        CREATE POLICY every_row ON {schema}.recipe_revisions TO service_role USING (TRUE) WITH CHECK (TRUE);
    END IF;
END
$supabase$;

-- The inputs of a cleaned job are kept, as the twelfth migration of SQLite says it.

CREATE TABLE {schema}.input_blocks (
    job_key         bigint NOT NULL,
    first_position  bigint NOT NULL,
    last_position   bigint NOT NULL,
    owner           text COLLATE "C" NOT NULL,
    content         bytea NOT NULL,
    PRIMARY KEY (job_key, first_position)
);
ALTER TABLE {schema}.input_blocks ALTER COLUMN content SET STORAGE EXTERNAL;  -- it is compressed already

CREATE INDEX items_deleted ON {schema}.items (job_key, position) WHERE deleted_at IS NOT NULL;

-- Next to Supabase's users, where jobs have a user_id since the third migration: as for item_inputs.
DO $supabase$
DECLARE
    one  record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    CREATE OR REPLACE FUNCTION {schema}.drop_with_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $sql$
    BEGIN
        DELETE FROM {schema}.workers WHERE job_key = OLD.key;
        DELETE FROM {schema}.failures WHERE job_key = OLD.key;
        DELETE FROM {schema}.attempts WHERE job_key = OLD.key;
        DELETE FROM {schema}.item_inputs WHERE job_key = OLD.key;
        DELETE FROM {schema}.input_blocks WHERE job_key = OLD.key;
        DELETE FROM {schema}.items WHERE job_key = OLD.key;
        RETURN OLD;
    END
    $sql$;
    ALTER TABLE {schema}.input_blocks ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON {schema}.input_blocks FROM PUBLIC;
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON {schema}.input_blocks FROM %I', one.rolname);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        GRANT SELECT ON {schema}.input_blocks TO authenticated;
        CREATE POLICY own_rows ON {schema}.input_blocks FOR SELECT TO authenticated
            USING (owner = (SELECT {schema}.signed_in()));
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT ALL ON {schema}.input_blocks TO service_role;
        CREATE POLICY every_row ON {schema}.input_blocks TO service_role USING (TRUE) WITH CHECK (TRUE);
    END IF;
END
$supabase$;

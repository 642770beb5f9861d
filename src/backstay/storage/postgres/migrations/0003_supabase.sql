-- If Supabase's table of users exists: link rows to users, and let each user read only their own. Otherwise change nothing.
--
-- Backstay itself connects as the owner of its tables, to whom no policy applies.
DO $supabase$
DECLARE
    library CONSTANT regnamespace := '{schema}'::regnamespace;
    shown   CONSTANT text[] := ARRAY['conversations', 'turns', 'jobs', 'items', 'item_inputs', 'attempts', 'failures',
                                     'backup_items'];
    named   text;
    one     record;
BEGIN
    IF to_regclass('auth.users') IS NULL THEN
        RETURN;
    END IF;

    -- Owners -------------------------------------------------------------------------------------------------------

    -- An owner that is the text of a user's id belongs to that user; others, such as `local`, belong to no user.
    FOREACH named IN ARRAY ARRAY['conversations', 'jobs', 'backups'] LOOP
        EXECUTE format(
            $sql$
            ALTER TABLE {schema}.%1$I ADD COLUMN user_id uuid GENERATED ALWAYS AS (
                CASE WHEN owner ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN owner::uuid END) STORED;
            ALTER TABLE {schema}.%1$I ADD CONSTRAINT %2$I
                FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE NOT VALID;
            CREATE INDEX %3$I ON {schema}.%1$I (user_id) WHERE user_id IS NOT NULL;
            $sql$, named, named || '_user_id_fkey', named || '_by_user');
        -- If an owner looks like a user id but is none, the constraint stays NOT VALID, which is reported before a delete.
        BEGIN
            EXECUTE format('ALTER TABLE {schema}.%1$I VALIDATE CONSTRAINT %2$I', named, named || '_user_id_fkey');
        EXCEPTION WHEN foreign_key_violation THEN
            NULL;
        END;
    END LOOP;

    -- Deleting a user deletes all their rows, including those without a foreign key.
    CREATE FUNCTION {schema}.drop_with_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $sql$
    BEGIN
        DELETE FROM {schema}.workers WHERE job_key = OLD.key;
        DELETE FROM {schema}.failures WHERE job_key = OLD.key;
        DELETE FROM {schema}.attempts WHERE job_key = OLD.key;
        DELETE FROM {schema}.item_inputs WHERE job_key = OLD.key;
        DELETE FROM {schema}.items WHERE job_key = OLD.key;
        RETURN OLD;
    END
    $sql$;
    CREATE TRIGGER drop_with_job BEFORE DELETE ON {schema}.jobs FOR EACH ROW EXECUTE FUNCTION {schema}.drop_with_job();

    CREATE FUNCTION {schema}.drop_with_backup() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $sql$
    BEGIN
        DELETE FROM {schema}.backup_items WHERE backup_key = OLD.key;
        RETURN OLD;
    END
    $sql$;
    CREATE TRIGGER drop_with_backup BEFORE DELETE ON {schema}.backups
       FOR EACH ROW EXECUTE FUNCTION {schema}.drop_with_backup();

    -- Privileges --------------------------------------------------------------------------------------------------

    CREATE FUNCTION {schema}.signed_in() RETURNS text LANGUAGE sql STABLE SET search_path = '' AS $sql$
        SELECT coalesce(nullif(current_setting('request.jwt.claims', TRUE), '')::jsonb ->> 'sub',
                        nullif(current_setting('request.jwt.claim.sub', TRUE), ''))
    $sql$;

    FOR one IN SELECT relname FROM pg_class WHERE relnamespace = library AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', one.relname);
        EXECUTE format('REVOKE ALL ON {schema}.%I FROM PUBLIC', one.relname);
    END LOOP;

    -- A view reads as its owner does, so it has to see to it itself.
    EXECUTE format(
        'CREATE OR REPLACE VIEW {schema}.batch_checkpoints WITH (security_barrier) AS SELECT * FROM (%s) AS every
          WHERE NOT row_security_active(''{schema}.jobs'') OR every.owner = {schema}.signed_in()',
        rtrim(pg_get_viewdef('{schema}.batch_checkpoints'::regclass), ';'));
    EXECUTE format(
        'CREATE OR REPLACE VIEW {schema}.backup_exports WITH (security_barrier) AS SELECT * FROM (%s) AS every
          WHERE NOT row_security_active(''{schema}.backups'') OR every.user_id = {schema}.signed_in()',
        rtrim(pg_get_viewdef('{schema}.backup_exports'::regclass), ';'));

    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON SCHEMA {schema} FROM %I', one.rolname);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM %I', one.rolname);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM %I', one.rolname);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM %I', one.rolname);
    END LOOP;
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        GRANT USAGE ON SCHEMA {schema} TO authenticated;
        GRANT EXECUTE ON FUNCTION {schema}.signed_in() TO authenticated;
        GRANT SELECT ON {schema}.batch_checkpoints, {schema}.backup_exports TO authenticated;
        FOREACH named IN ARRAY shown LOOP
            EXECUTE format('GRANT SELECT ON {schema}.%I TO authenticated', named);
        END LOOP;
        -- Only the operator may see where files are, and on which machine.
        GRANT SELECT (key, owner, user_id, id, state, reason, conversations, turns, content_bytes, file_bytes, pinned,
                      expires_at, created_at, verified_at, removed_at, deletion, deleted, changed, gone)
           ON {schema}.backups TO authenticated;
        FOREACH named IN ARRAY shown || ARRAY['backups'] LOOP
            EXECUTE format('CREATE POLICY own_rows ON {schema}.%I FOR SELECT TO authenticated
                                   USING (owner = (SELECT {schema}.signed_in()))', named);
        END LOOP;
    END IF;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT USAGE ON SCHEMA {schema} TO service_role;
        GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO service_role;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO service_role;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO service_role;
        FOR one IN SELECT relname FROM pg_class WHERE relnamespace = library AND relkind = 'r' LOOP
            EXECUTE format('CREATE POLICY every_row ON {schema}.%I TO service_role USING (TRUE) WITH CHECK (TRUE)',
                           one.relname);
        END LOOP;
    END IF;
END
$supabase$;

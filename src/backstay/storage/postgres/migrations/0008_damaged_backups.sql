-- A backup whose file is not what was verified any more is known for it, and one that has expired is noted before it goes.

ALTER TABLE {schema}.backups
    DROP CONSTRAINT backups_state_check,
    DROP CONSTRAINT backups_deletion_check,
    ADD CONSTRAINT backups_state_check CHECK (state IN ('running', 'verified', 'damaged', 'failed', 'expired')),
    ADD CONSTRAINT backups_deletion_check CHECK (deletion IN ('deleting', 'deleted', 'undone', 'abandoned')),
    ADD COLUMN damaged_at bigint,
    ADD COLUMN first_seen_expired_at bigint;

DO $supabase$
BEGIN
    IF to_regclass('auth.users') IS NULL
       OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated')
       OR NOT has_column_privilege('authenticated', '{schema}.backups', 'state', 'SELECT') THEN
        RETURN;
    END IF;
    GRANT SELECT (damaged_at, first_seen_expired_at) ON {schema}.backups TO authenticated;
END
$supabase$;

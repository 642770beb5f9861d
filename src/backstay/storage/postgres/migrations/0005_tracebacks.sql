-- Where a processor of the user's own raised: files, lines and functions, kept with the attempt that failed.

ALTER TABLE {schema}.attempts ADD COLUMN traceback text;   -- NULL: it raised nothing

DO $supabase$
BEGIN
    IF to_regclass('auth.users') IS NULL
       OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated')
       OR NOT has_table_privilege('authenticated', '{schema}.attempts', 'SELECT') THEN
        RETURN;
    END IF;
    -- It names files of the machine that ran the job, which only the operator may see.
    REVOKE SELECT ON {schema}.attempts FROM authenticated;
    GRANT SELECT (job_key, position, number, owner, worker, result, error_code, error_message, raw, tokens_in,
                  tokens_out, started_at, ended_at)
       ON {schema}.attempts TO authenticated;
END
$supabase$;

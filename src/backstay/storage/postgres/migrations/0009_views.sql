-- The views as the design with one row a job, and one a backup, has them: an id is a UUID, and progress is what is completed.
-- Next to Supabase's users, where backups have a user_id since the third migration, that is whose they are.
DO $views$
DECLARE
    views      CONSTANT regclass[] := ARRAY['{schema}.batch_checkpoints', '{schema}.backup_exports'];
    has_users  CONSTANT boolean := EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.backups'::regclass
                                              AND attname = 'user_id' AND NOT attisdropped);
    -- A view reads as its owner does, so it has to see to it itself whom it shows what.
    guard      CONSTANT text := CASE WHEN has_users
                    THEN 'AND (NOT row_security_active(''{schema}.%1$s'') OR %1$s.owner = {schema}.signed_in())' ELSE '' END;
    barrier    CONSTANT text := CASE WHEN has_users THEN 'WITH (security_barrier)' ELSE '' END;
    grants     text[];
    statement  text;
BEGIN
    -- A column of a view cannot change its type, so they are made anew, and shown to whom they were.
    SELECT array_agg(format('GRANT %s ON {schema}.%I TO %s', privilege_type, relname,
                            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END))
      INTO grants
      FROM pg_class, aclexplode(relacl)
     WHERE pg_class.oid = ANY (views)
       AND grantee <> relowner;

    DROP VIEW {schema}.batch_checkpoints, {schema}.backup_exports;

    EXECUTE format($sql$
        CREATE VIEW {schema}.batch_checkpoints %s AS
        SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(jobs.key), 12, '0'))::uuid AS id,
               jobs.id                                                       AS job_id,
               (SELECT coalesce(jsonb_agg(items.id ORDER BY items.position), '[]')
                  FROM {schema}.items
                 WHERE items.job_key = jobs.key AND items.state = 'completed') AS completed_items,
               (SELECT coalesce(jsonb_agg(items.id ORDER BY items.position), '[]')
                  FROM {schema}.items
                 WHERE items.job_key = jobs.key AND items.state = 'failed')  AS failed_items,
               floor(100 * (jobs.completed + moved.completed)
                     / greatest(1, jobs.pending + jobs.running + jobs.completed + jobs.failed + jobs.skipped
                                   + moved.planned))::integer                AS progress_percentage,
               'epoch'::timestamptz + greatest(jobs.updated_at, moved.committed_at) * interval '1 microsecond'
                                                                             AS last_checkpoint_at,
               'epoch'::timestamptz + jobs.created_at * interval '1 microsecond'
                                                                             AS created_at,
               'epoch'::timestamptz + jobs.updated_at * interval '1 microsecond'
                                                                             AS updated_at,
               jobs.owner                                                    AS owner
          FROM {schema}.jobs
         CROSS JOIN LATERAL (SELECT coalesce(sum(completed), 0)                                AS completed,
                                    coalesce(sum(pending + running + completed + failed + skipped), 0) AS planned,
                                    max(committed_at)                                          AS committed_at
                               FROM {schema}.workers WHERE workers.job_key = jobs.key) AS moved
         WHERE jobs.state <> 'creating'
           AND jobs.cleaned_at IS NULL %s
        $sql$, barrier, format(guard, 'jobs'));

    EXECUTE format($sql$
        CREATE VIEW {schema}.backup_exports %s AS
        SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(backups.key), 12, '0'))::uuid AS id,
               backups.id                                                    AS backup_id,
               backups.%I                                                    AS user_id,
               '/backups/' || backups.id || '.json'                          AS file_path,
               (SELECT coalesce(jsonb_agg(backup_items.id ORDER BY backup_items.position), '[]')
                  FROM {schema}.backup_items
                 WHERE backup_items.backup_key = backups.key)                AS conversation_ids,
               backups.reason                                                AS backup_reason,
               'epoch'::timestamptz + backups.expires_at * interval '1 microsecond'
                                                                             AS expires_at,
               'epoch'::timestamptz + backups.created_at * interval '1 microsecond'
                                                                             AS created_at
          FROM {schema}.backups
         WHERE backups.state = 'verified' %s
        $sql$, barrier, CASE WHEN has_users THEN 'user_id' ELSE 'owner' END, format(guard, 'backups'));

    IF has_users THEN
        -- Whatever new tables are granted to by default.
        REVOKE ALL ON {schema}.batch_checkpoints, {schema}.backup_exports FROM PUBLIC;
        FOR statement IN SELECT format('REVOKE ALL ON {schema}.batch_checkpoints, {schema}.backup_exports FROM %I', rolname)
                           FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE statement;
        END LOOP;
    END IF;
    FOREACH statement IN ARRAY coalesce(grants, '{}') LOOP
        EXECUTE statement;
    END LOOP;
END
$views$;

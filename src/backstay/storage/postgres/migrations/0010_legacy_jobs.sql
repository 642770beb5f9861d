-- An imported job waits in its own tables until a run brings all its items; before, it was a paused job without inputs.

CREATE TABLE {schema}.legacy_jobs (
    owner        text COLLATE "C" NOT NULL,
    job_id       text COLLATE "C" NOT NULL,
    completed    bigint NOT NULL,
    failed       bigint NOT NULL,
    imported_at  bigint NOT NULL,
    PRIMARY KEY (owner, job_id)
);

CREATE TABLE {schema}.legacy_settled (
    owner    text COLLATE "C" NOT NULL,
    job_id   text COLLATE "C" NOT NULL,
    item_id  text COLLATE "C" NOT NULL,
    error    text,                                   -- why it failed; NULL: it was completed
    PRIMARY KEY (owner, job_id, item_id),
    FOREIGN KEY (owner, job_id) REFERENCES {schema}.legacy_jobs (owner, job_id) ON DELETE CASCADE
);

INSERT INTO {schema}.legacy_jobs (owner, job_id, completed, failed, imported_at)
SELECT owner, id, completed, failed, created_at
  FROM {schema}.jobs
 WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL;  -- a discarded one, without an id, is being removed

INSERT INTO {schema}.legacy_settled (owner, job_id, item_id, error)
SELECT items.owner, jobs.id, items.id, CASE items.state WHEN 'failed' THEN coalesce(attempts.error_message, '') END
  FROM {schema}.jobs
  JOIN {schema}.items ON items.job_key = jobs.key
  LEFT JOIN {schema}.attempts ON attempts.job_key = items.job_key
                     AND attempts.position = items.position
                     AND attempts.number = items.attempt
 WHERE jobs.processor = 'taken-over' AND jobs.recipe IS NULL AND jobs.id IS NOT NULL;

DELETE FROM {schema}.attempts WHERE job_key IN (
    SELECT key FROM {schema}.jobs WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL);
DELETE FROM {schema}.items WHERE job_key IN (
    SELECT key FROM {schema}.jobs WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL);
DELETE FROM {schema}.jobs WHERE processor = 'taken-over' AND recipe IS NULL AND id IS NOT NULL;

-- A failed item without an input, which the run of its job left out, can never be retried.
UPDATE {schema}.jobs
   SET failed = failed - found.number, skipped = skipped + found.number
  FROM (SELECT job_key, count(*) AS number
          FROM {schema}.items
         WHERE state = 'failed' AND octet_length(digest) = 0
         GROUP BY job_key) AS found
 WHERE jobs.key = found.job_key;
UPDATE {schema}.items SET state = 'skipped' WHERE state = 'failed' AND octet_length(digest) = 0;

-- Next to Supabase's users, where jobs have a user_id since the third migration: rows go with their user, and only
-- service_role may see them.
DO $supabase$
DECLARE
    one  record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.legacy_jobs ADD COLUMN user_id uuid GENERATED ALWAYS AS (
        CASE WHEN owner ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN owner::uuid END) STORED;
    ALTER TABLE {schema}.legacy_jobs ADD CONSTRAINT legacy_jobs_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE NOT VALID;
    CREATE INDEX legacy_jobs_by_user ON {schema}.legacy_jobs (user_id) WHERE user_id IS NOT NULL;
    BEGIN
        ALTER TABLE {schema}.legacy_jobs VALIDATE CONSTRAINT legacy_jobs_user_id_fkey;
    EXCEPTION WHEN foreign_key_violation THEN
        NULL;  -- an owner that looks like a user's id but is none
    END;
    ALTER TABLE {schema}.legacy_jobs ENABLE ROW LEVEL SECURITY;
    ALTER TABLE {schema}.legacy_settled ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON {schema}.legacy_jobs, {schema}.legacy_settled FROM PUBLIC;
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON {schema}.legacy_jobs, {schema}.legacy_settled FROM %I', one.rolname);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT ALL ON {schema}.legacy_jobs, {schema}.legacy_settled TO service_role;
        CREATE POLICY every_row ON {schema}.legacy_jobs TO service_role USING (TRUE) WITH CHECK (TRUE);
        CREATE POLICY every_row ON {schema}.legacy_settled TO service_role USING (TRUE) WITH CHECK (TRUE);
    END IF;
END
$supabase$;

-- User tables in place of the built-in ones. All of this stays empty until `backstay adopt` is run.
CREATE TABLE {schema}.adopted (
    name              text COLLATE "C" PRIMARY KEY CHECK (name IN ('conversations', 'turns')),
    user_table        regclass NOT NULL,
    mapping           jsonb NOT NULL,     -- the user column of each built-in column
    column_numbers    jsonb NOT NULL,     -- by name, the column numbers, which survive renaming
    owner             text NOT NULL,      -- the owner of rows without an owner column
    digest            text NOT NULL,      -- a digest of the statements that created the views
    stored            jsonb NOT NULL,     -- the user columns for which the view was created, as returned by `stored_columns`
    columns           jsonb NOT NULL,     -- the columns of the view, by name
    raw               jsonb NOT NULL,     -- by columns of the view, those with the same value in the user column's type
    conversation_key  text,               -- of turns: the foreign key that deletes them with their conversation
    owner_pattern     text,               -- the pattern of valid owners; null if any is valid
    obstacle          text                -- why no new rows can be inserted; null if they can
);

-- The tables in which conversations and turns are stored.
CREATE VIEW {schema}.places AS
SELECT kept.name, coalesce(adopted.user_table, pg_catalog.to_regclass('{schema}.' || kept.name)) AS place, adopted.name IS NOT NULL AS is_adopted
  FROM (VALUES ('conversations'), ('turns')) AS kept (name)
  LEFT JOIN {schema}.adopted ON adopted.name = kept.name;

CREATE FUNCTION {schema}.stored_columns(place regclass) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(attname, nspname, typname, atttypmod, attnotnull) ORDER BY attnum)
      FROM pg_attribute
      JOIN pg_type ON pg_type.oid = atttypid
      JOIN pg_namespace ON pg_namespace.oid = typnamespace
     WHERE attrelid = place
       AND attnum > 0
       AND NOT attisdropped
       AND attgenerated = ''
$$;

-- The id of a new conversation; null if Backstay chooses one.
CREATE FUNCTION {schema}.new_id() RETURNS text LANGUAGE sql AS 'SELECT NULL::text';

DO $supabase$
DECLARE
    one  record;
BEGIN
    IF to_regclass('auth.users') IS NULL THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.adopted ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON {schema}.adopted, {schema}.places FROM PUBLIC;
    REVOKE ALL ON FUNCTION {schema}.new_id(), {schema}.stored_columns(regclass) FROM PUBLIC;
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON {schema}.adopted, {schema}.places FROM %I', one.rolname);
        EXECUTE format('REVOKE ALL ON FUNCTION {schema}.new_id(), {schema}.stored_columns(regclass) FROM %I', one.rolname);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT ALL ON {schema}.adopted, {schema}.places TO service_role;
        GRANT EXECUTE ON FUNCTION {schema}.new_id(), {schema}.stored_columns(regclass) TO service_role;
        CREATE POLICY every_row ON {schema}.adopted TO service_role USING (TRUE) WITH CHECK (TRUE);
    END IF;
END
$supabase$;

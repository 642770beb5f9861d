-- A user's own tables in the place of ours. All of this is empty, and changes nothing, until `backstay adopt` is run.
CREATE TABLE {schema}.adopted (
    name              text COLLATE "C" PRIMARY KEY CHECK (name IN ('conversations', 'turns')),
    place             regclass NOT NULL,
    asked             jsonb NOT NULL,     -- which of their columns is which of ours
    numbers           jsonb NOT NULL,     -- by their names, the numbers that columns keep when they get other names
    owner             text NOT NULL,      -- whose rows are where no column says it
    made              text NOT NULL,      -- a digest of the statements that made the views
    stored            jsonb NOT NULL,     -- their columns as the view was made for them, as `stored_columns` tells them
    columns           jsonb NOT NULL,     -- by their names, those of the view
    raw               jsonb NOT NULL,     -- by names of the view, those under which it shows the same in their type
    conversation_key  text,               -- of turns: the foreign key by which they go with their conversation
    owner_pattern     text,               -- what an owner has to look like; null where any will do
    hindered          text                -- why nothing new can be put in; null where it can
);

-- Where what is kept really is.
CREATE VIEW {schema}.places AS
SELECT kept.name, coalesce(adopted.place, pg_catalog.to_regclass('{schema}.' || kept.name)) AS place, adopted.name IS NOT NULL AS is_adopted
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

-- What a new conversation is to be called; null where an id of ours will do.
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

-- Imports can be selected, and lists are filtered and sorted by an index that is filled after the commits.

-- The keys of the conversations that an import stored; a range without keys if it stored none.
CREATE TABLE {schema}.imports (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,   -- in the order of the imports
    owner      text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    first_key  bigint NOT NULL,
    last_key   bigint NOT NULL
);

CREATE INDEX imports_by_id ON {schema}.imports (owner, id);

-- What a conversation is filtered and sorted by. It repeats columns of the conversation, so that a filter reads one
-- narrow table. An entry is exact unless its conversation is in unindexed_conversations.
CREATE TABLE {schema}.conversation_index (
    owner       text COLLATE "C" NOT NULL,
    key         bigint NOT NULL,                     -- of the conversation
    turns       bigint NOT NULL,
    characters  bigint NOT NULL,
    has_tools   boolean NOT NULL,
    model       text COLLATE "C",
    job_id      text COLLATE "C",
    persona     text COLLATE "C",
    created_at  text COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX conversation_index_by_turns ON {schema}.conversation_index (owner, turns, key);
CREATE INDEX conversation_index_by_characters ON {schema}.conversation_index (owner, characters, key);
CREATE INDEX conversation_index_by_model ON {schema}.conversation_index (owner, model, key)
    INCLUDE (turns, characters, has_tools);

-- The conversations that have no entry yet, or an outdated one. Each statement that changes conversations or turns adds
-- rows of its own, in its transaction: what fills the index can remove those that it has read, and no others.
CREATE TABLE {schema}.unindexed_conversations (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      text COLLATE "C" NOT NULL,
    first_key  bigint NOT NULL,
    last_key   bigint NOT NULL
);

CREATE INDEX unindexed_conversations_by_owner ON {schema}.unindexed_conversations (owner, number);

-- The model that metadata name; see library/traits.py. Text that is not JSON, from another program, names none.
CREATE FUNCTION {schema}.metadata_model(text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = ''
AS $body$
DECLARE
    entries  json;
    name     text;
BEGIN
    IF $1 IS NULL OR $1 IN ('', '{}') THEN
        RETURN NULL;
    END IF;
    -- text cannot hold a NUL, and an escaped one would be an error
    entries := pg_catalog.replace($1, '\u0000', '\u0001')::json;
    IF pg_catalog.json_typeof(entries) = 'object' THEN
        FOREACH name IN ARRAY ARRAY['writer', 'model'] LOOP
            IF pg_catalog.json_typeof(entries -> name) = 'string' AND entries ->> name <> '' THEN
                RETURN entries ->> name;
            END IF;
        END LOOP;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN NULL;
END
$body$;

-- Whether metadata have a list, which is not empty, under a name.
CREATE FUNCTION {schema}.metadata_has_list(text, text) RETURNS boolean LANGUAGE plpgsql STABLE SET search_path = ''
AS $body$
DECLARE
    entries  json;
BEGIN
    IF $1 IS NULL OR pg_catalog.strpos($1, '"' || $2 || '"') = 0 THEN
        RETURN FALSE;
    END IF;
    entries := pg_catalog.replace($1, '\u0000', '\u0001')::json;
    IF pg_catalog.json_typeof(entries) = 'object' AND pg_catalog.json_typeof(entries -> $2) = 'array' THEN
        RETURN pg_catalog.json_array_length(entries -> $2) > 0;
    END IF;
    RETURN FALSE;
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN FALSE;
END
$body$;

INSERT INTO {schema}.unindexed_conversations (owner, first_key, last_key)
SELECT DISTINCT owner, 0, 9223372036854775807
  FROM {schema}.conversations
 WHERE NOT EXISTS (SELECT FROM {schema}.adopted);

-- A statement adds one row for each run of keys without gaps. SECURITY DEFINER, since the role may not have access to
-- the index.
CREATE FUNCTION {schema}.unindex_conversations() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $body$
BEGIN
    INSERT INTO {schema}.unindexed_conversations (owner, first_key, last_key)
    SELECT owner, pg_catalog.min(key), pg_catalog.max(key)
      FROM (SELECT owner, key, key - pg_catalog.row_number() OVER (PARTITION BY owner ORDER BY key) AS run
              FROM (SELECT DISTINCT owner, key FROM changed WHERE owner IS NOT NULL) AS changed_keys) AS numbered
     GROUP BY owner, run;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM {schema}.conversation_index AS entry
         USING changed
         WHERE entry.owner = changed.owner AND entry.key = changed.key;
    END IF;
    RETURN NULL;
END
$body$;

CREATE FUNCTION {schema}.unindex_turns() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $body$
BEGIN
    INSERT INTO {schema}.unindexed_conversations (owner, first_key, last_key)
    SELECT owner, pg_catalog.min(key), pg_catalog.max(key)
      FROM (SELECT owner, key, key - pg_catalog.row_number() OVER (PARTITION BY owner ORDER BY key) AS run
              FROM (SELECT DISTINCT owner, conversation_key AS key FROM changed) AS changed_keys) AS numbered
     GROUP BY owner, run;
    RETURN NULL;
END
$body$;

CREATE FUNCTION {schema}.unindex_everything() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $body$
BEGIN
    INSERT INTO {schema}.unindexed_conversations (owner, first_key, last_key)
    SELECT DISTINCT owner, 0, 9223372036854775807 FROM {schema}.conversation_index;
    DELETE FROM {schema}.conversation_index;
    RETURN NULL;
END
$body$;

-- On the built-in tables, which have other names while tables of an app are adopted.
DO $triggers$
DECLARE
    prefix  text := CASE WHEN EXISTS (SELECT FROM {schema}.adopted) THEN 'own_' ELSE '' END;
    one     record;
BEGIN
    FOR one IN SELECT * FROM (VALUES ('conversations', 'unindex_conversations'), ('turns', 'unindex_turns'))
                               AS functions (name, function)
    LOOP
        EXECUTE format('CREATE TRIGGER backstay_unindex_stored AFTER INSERT ON {schema}.%I'
                       ' REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.%I()',
                       prefix || one.name, one.function);
        EXECUTE format('CREATE TRIGGER backstay_unindex_updated AFTER UPDATE ON {schema}.%I'
                       ' REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.%I()',
                       prefix || one.name, one.function);
        EXECUTE format('CREATE TRIGGER backstay_unindex_moved AFTER UPDATE ON {schema}.%I'
                       ' REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.%I()',
                       prefix || one.name, one.function);
        EXECUTE format('CREATE TRIGGER backstay_unindex_deleted AFTER DELETE ON {schema}.%I'
                       ' REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {schema}.%I()',
                       prefix || one.name, one.function);
        EXECUTE format('CREATE TRIGGER backstay_unindex_emptied AFTER TRUNCATE ON {schema}.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION {schema}.unindex_everything()', prefix || one.name);
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ALWAYS TRIGGER backstay_unindex_stored,'
                       ' ENABLE ALWAYS TRIGGER backstay_unindex_updated, ENABLE ALWAYS TRIGGER backstay_unindex_moved,'
                       ' ENABLE ALWAYS TRIGGER backstay_unindex_deleted, ENABLE ALWAYS TRIGGER backstay_unindex_emptied',
                       prefix || one.name);
    END LOOP;
END
$triggers$;

-- Next to Supabase's users, where jobs have a user_id since the third migration: rows go with their user, and only
-- service_role may see them.
DO $supabase$
DECLARE
    one    record;
    place  record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{schema}.jobs'::regclass
                      AND attname = 'user_id' AND NOT attisdropped) THEN
        RETURN;
    END IF;
    FOR place IN SELECT * FROM (VALUES ('imports'), ('conversation_index'), ('unindexed_conversations')) AS t (name) LOOP
        EXECUTE format('ALTER TABLE {schema}.%I ENABLE ROW LEVEL SECURITY', place.name);
        EXECUTE format('REVOKE ALL ON {schema}.%I FROM PUBLIC', place.name);
        FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON {schema}.%I FROM %I', place.name, one.rolname);
        END LOOP;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
            EXECUTE format('GRANT ALL ON {schema}.%I TO service_role', place.name);
            EXECUTE format('CREATE POLICY every_row ON {schema}.%I TO service_role USING (TRUE) WITH CHECK (TRUE)',
                           place.name);
        END IF;
    END LOOP;
    ALTER TABLE {schema}.imports ADD COLUMN user_id uuid GENERATED ALWAYS AS (
        CASE WHEN owner ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN owner::uuid END) STORED;
    ALTER TABLE {schema}.imports ADD CONSTRAINT imports_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE NOT VALID;
    CREATE INDEX imports_by_user ON {schema}.imports (user_id) WHERE user_id IS NOT NULL;
    BEGIN
        ALTER TABLE {schema}.imports VALIDATE CONSTRAINT imports_user_id_fkey;
    EXCEPTION WHEN foreign_key_violation THEN
        NULL;  -- an owner that looks like a user's id but is none
    END;
    REVOKE ALL ON FUNCTION {schema}.metadata_model(text), {schema}.metadata_has_list(text, text),
        {schema}.unindex_conversations(), {schema}.unindex_turns(), {schema}.unindex_everything() FROM PUBLIC;
    FOR one IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION {schema}.metadata_model(text), {schema}.metadata_has_list(text, text),'
                       ' {schema}.unindex_conversations(), {schema}.unindex_turns(), {schema}.unindex_everything()'
                       ' FROM %I', one.rolname);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        GRANT EXECUTE ON FUNCTION {schema}.metadata_model(text), {schema}.metadata_has_list(text, text) TO service_role;
    END IF;
END
$supabase$;

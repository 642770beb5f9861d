-- The record of an adoption, and what it created, get the names that new databases have from the beginning.
DO $rename$
DECLARE
    names  CONSTANT text[] := ARRAY['name', 'user_table', 'mapping', 'column_numbers', 'owner', 'digest', 'stored', 'columns', 'raw',
                                    'conversation_key', 'owner_pattern', 'obstacle'];
    one    record;
BEGIN
    FOR one IN
        SELECT attname AS former_name, names[attnum] AS name
          FROM pg_attribute
         WHERE attrelid = '{schema}.adopted'::regclass
           AND attnum > 0
           AND attname <> names[attnum]
    LOOP
        EXECUTE format('ALTER TABLE {schema}.adopted RENAME %I TO %I', one.former_name, one.name);
    END LOOP;
    UPDATE {schema}.adopted
       SET mapping = mapping - 'place' || jsonb_build_object('table', mapping -> 'place')
     WHERE mapping ? 'place';

    IF to_regclass('{schema}.adopted_conversations') IS NULL THEN
        RETURN;
    END IF;
    ALTER TABLE {schema}.adopted_conversations RENAME their_id TO app_id;
    ALTER TABLE {schema}.adopted_conversations
        RENAME CONSTRAINT adopted_conversations_their_id_key TO adopted_conversations_app_id_key;
    ALTER VIEW IF EXISTS {schema}.adopted_rows RENAME their_id TO app_id;
    -- The text of a function does not follow a renamed column. The app's own names are in quotes there.
    FOR one IN
        SELECT regexp_replace(pg_get_functiondef(oid), '(?<!")\mtheir_id\M(?!")', 'app_id', 'g') AS definition
          FROM pg_proc
         WHERE pronamespace = '{schema}'::regnamespace
           AND starts_with(proname, 'adopted_')
    LOOP
        EXECUTE one.definition;
    END LOOP;
END
$rename$;

-- Return the foreign keys that lead to conversations or turns, directly or through tables whose rows are deleted with
-- them, but not those of the tables with reviews and earlier versions.
WITH RECURSIVE curation (id) AS (
     VALUES ('{schema}.conversation_reviews'::regclass), ('{schema}.conversation_versions'::regclass)
), reached (id) AS (
     SELECT place::oid FROM {schema}.places
      UNION
     SELECT keys.conrelid
       FROM reached
       JOIN pg_constraint AS keys ON keys.confrelid = reached.id
      WHERE keys.contype = 'f'
        AND keys.confdeltype = 'c'
        AND keys.conparentid = 0
        AND keys.conrelid NOT IN (SELECT id FROM curation)
)
SELECT keys.conname, keys.conrelid, keys.confrelid, keys.confdeltype::text,
       ARRAY(SELECT attname::text
               FROM pg_catalog.unnest(keys.conkey) WITH ORDINALITY AS at (number, ordinal)
               JOIN pg_attribute ON attrelid = keys.conrelid AND attnum = at.number
              ORDER BY ordinal),
       ARRAY(SELECT attname::text
               FROM pg_catalog.unnest(keys.confkey) WITH ORDINALITY AS at (number, ordinal)
               JOIN pg_attribute ON attrelid = keys.confrelid AND attnum = at.number
              ORDER BY ordinal)
  FROM reached
  JOIN pg_constraint AS keys ON keys.confrelid = reached.id
 WHERE keys.contype = 'f'
   AND keys.conparentid = 0
   AND keys.conrelid NOT IN (SELECT id FROM curation)
   AND NOT EXISTS (SELECT 1
                     FROM {schema}.places AS turns, {schema}.places AS conversations
                    WHERE turns.name = 'turns'
                      AND conversations.name = 'conversations'
                      AND keys.conrelid = turns.place
                      AND keys.confrelid = conversations.place
                      AND (keys.conname = 'turns_conversation_key_fkey' AND NOT turns.is_adopted
                           OR keys.conname = (SELECT conversation_key FROM {schema}.adopted WHERE name = 'turns')))
 ORDER BY keys.conrelid::regclass::text, keys.conname

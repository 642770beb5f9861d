-- Ranges of keys of conversations without an exact index entry: all, in tables that an earlier version has adopted, since
-- the triggers are missing that notice changes. A part of other statements.
(SELECT first_key, last_key
   FROM {schema}.unindexed_conversations
  WHERE owner = :owner
  UNION ALL
 SELECT CAST(0 AS bigint), 9223372036854775807
  WHERE EXISTS (SELECT FROM {schema}.adopted)
    AND pg_catalog.to_regproc('{schema}.adopted_index_turns_added') IS NULL)

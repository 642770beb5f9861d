-- Return the keys and lengths of the indexed conversations whose texts are not in the text index, but of those that are too
-- long for it. It may be none: an outdated entry may have no conversation any more.
SELECT key, characters
  FROM {schema}.conversation_index
 WHERE owner = :owner
   AND NOT has_text
   AND characters <= :max_characters
 ORDER BY key
 LIMIT :limit

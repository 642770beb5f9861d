-- Return the keys of selected conversations with keys in a range, the newest first. No condition is on an entry of the index.
SELECT key
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key > :after
   AND key < :before
   {selected_in_range}
 ORDER BY key DESC
 LIMIT :limit

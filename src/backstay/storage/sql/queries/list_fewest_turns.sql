-- Return the keys of selected conversations that follow a position, those with fewest turns first.
SELECT key, turns{scan} AS value
  FROM {entries} AS entries
 WHERE owner = :owner
   AND (turns{scan}, key) > (:value, :key)
   {matching}
 ORDER BY value, key
 LIMIT :limit

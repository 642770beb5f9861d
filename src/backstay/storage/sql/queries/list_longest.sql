-- Return the keys of selected conversations that follow a position, the longest first.
SELECT key, characters{scan} AS value
  FROM {entries}
   AND (characters{scan}, key) < (:value, :key)
   {matching}
 ORDER BY value DESC, key DESC
 LIMIT :limit

-- Return the keys of selected conversations that follow a position, those with most turns first.
SELECT key, turns{scan} AS value
  FROM {entries}
   AND (turns{scan}, key) < (:value, :key)
   {matching}
 ORDER BY value DESC, key DESC
 LIMIT :limit

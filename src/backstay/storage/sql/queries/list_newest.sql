-- Return the keys of selected conversations with keys in a range, the newest first.
SELECT key
  FROM {entries}
   AND key > :after
   AND key < :before
   {matching_in_range}
 ORDER BY key DESC
 LIMIT :limit

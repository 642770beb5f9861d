-- Return how many items of a backup are written; positions begin with 0 and have no gaps.
SELECT coalesce(max(position) + 1, 0)
  FROM {schema}.backup_items
 WHERE backup_key = :key
   AND owner = :owner

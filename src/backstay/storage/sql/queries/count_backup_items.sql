-- How far a backup has come that is being written: positions are given from 0, without gaps.
SELECT coalesce(max(position) + 1, 0)
  FROM {schema}.backup_items
 WHERE backup_key = :key
   AND owner = :owner

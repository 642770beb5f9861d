-- The next selected conversations, and which items they are results of.
SELECT key, job_id, item_id, id
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key > :after
   AND key <= :last
   {selected}
 ORDER BY key
 LIMIT :limit

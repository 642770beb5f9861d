-- Return the next selected conversations, each with the item that it results from.
SELECT key, job_id, item_id, id
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key > :after
   AND key <= :last
   {selected}
 ORDER BY key
 LIMIT :limit

-- Return the keys of the conversations in a range, in order.
SELECT key
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key BETWEEN :first AND :last
 ORDER BY key
 LIMIT :limit

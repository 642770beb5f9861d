-- Return the keys of the conversations with these ids, and lock those conversations, always in the same order.
WITH requested (id) AS ({rows:text})
SELECT conversations.key
  FROM requested
 CROSS JOIN {schema}.conversations
 WHERE conversations.owner = :1
   AND conversations.id = requested.id
 ORDER BY conversations.id
  {lock:FOR UPDATE OF conversations}

-- The keys of the conversations of these ids; nobody else changes them. The locks are taken in one order by all.
WITH wanted (id) AS ({rows:text})
SELECT conversations.key
  FROM wanted
 CROSS JOIN {schema}.conversations
 WHERE conversations.owner = :1
   AND conversations.id = wanted.id
 ORDER BY conversations.id
  {lock:FOR UPDATE OF conversations}

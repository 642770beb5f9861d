-- Where conversations of these ids stand; nobody else changes them. The locks are taken in one order by all.
WITH wanted (id) AS ({rows:text})
SELECT conversations.key
  FROM {schema}.conversations
  JOIN wanted ON wanted.id = conversations.id
 WHERE conversations.owner = :1
 ORDER BY conversations.id
   FOR UPDATE OF conversations

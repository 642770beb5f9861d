-- Return the keys and ratings of selected conversations that follow a position, the highest first.
SELECT rated.conversation_key, rated.rating
  FROM {schema}.conversation_reviews AS rated
  JOIN {schema}.conversations ON conversations.key = rated.conversation_key
 WHERE rated.owner = :owner
   AND conversations.owner = :owner
   AND rated.rating IS NOT NULL
   AND (rated.rating, rated.conversation_key) < (:value, :key)
   {selected}
 ORDER BY rated.rating DESC, rated.conversation_key DESC
 LIMIT :limit

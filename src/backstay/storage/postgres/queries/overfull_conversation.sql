-- Return the first selected conversation with more than `most` tags apart from those that a change adds or removes.
SELECT id,
       (SELECT count(*)
          FROM {schema}.conversation_tags AS tags
         WHERE tags.conversation_key = conversations.key
           AND tags.owner = conversations.owner
           AND tags.tag NOT IN (SELECT jsonb_array_elements_text(:changed_tags::jsonb))) AS others
  FROM {schema}.conversations
 WHERE owner = :owner
   AND (SELECT count(*)
          FROM {schema}.conversation_tags AS tags
         WHERE tags.conversation_key = conversations.key
           AND tags.owner = conversations.owner
           AND tags.tag NOT IN (SELECT jsonb_array_elements_text(:changed_tags::jsonb))) > :most
   {selected}
 ORDER BY key
 LIMIT 1

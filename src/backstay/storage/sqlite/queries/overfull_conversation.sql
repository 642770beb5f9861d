-- Return the first selected conversation with more than `most` tags apart from those that a change adds or removes.
SELECT id,
       (SELECT count(*)
          FROM {schema}.conversation_tags AS tags
         WHERE tags.conversation_key = conversations.key
           AND tags.tag NOT IN (SELECT value FROM json_each(:changed_tags))) AS others
  FROM {schema}.conversations
 WHERE owner = :owner
   AND (SELECT count(*)
          FROM {schema}.conversation_tags AS tags
         WHERE tags.conversation_key = conversations.key
           AND tags.tag NOT IN (SELECT value FROM json_each(:changed_tags))) > :most
   {selected}
 ORDER BY key
 LIMIT 1

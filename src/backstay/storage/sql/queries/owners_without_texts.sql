-- Return the owners of indexed conversations whose texts are not in the text index.
SELECT DISTINCT owner
  FROM {schema}.conversation_index
 WHERE NOT has_text
   AND characters <= :max_characters
 ORDER BY owner

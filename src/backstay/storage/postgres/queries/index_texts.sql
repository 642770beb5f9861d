-- Add the texts of these conversations to the text index.
INSERT INTO {schema}.conversation_texts (owner, key, text)
SELECT owner, key,
       lower(concat(topic, E'\n', persona, E'\n', (SELECT string_agg(content, E'\n')
                                                     FROM {schema}.turns
                                                    WHERE conversation_key = conversations.key)) COLLATE {collation})
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key IN ({list:keys})

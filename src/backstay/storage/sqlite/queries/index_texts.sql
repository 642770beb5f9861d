-- Add the texts of these conversations to the text index.
INSERT OR REPLACE INTO {schema}.conversation_text (rowid, text)
SELECT key,
       backstay_folded(coalesce(topic, '') || char(10) || coalesce(persona, '') || char(10)
                       || coalesce((SELECT group_concat(content, char(10))
                                      FROM {schema}.turns
                                     WHERE conversation_key = conversations.key), ''))
  FROM {schema}.conversations
 WHERE owner = :owner
   AND key IN ({list:keys})

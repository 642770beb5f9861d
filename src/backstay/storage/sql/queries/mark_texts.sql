-- Note that the text index has the texts of these conversations.
UPDATE {schema}.conversation_index
   SET has_text = TRUE
 WHERE owner = :owner
   AND key IN ({list:keys})

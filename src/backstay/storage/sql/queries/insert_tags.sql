-- Insert the tags of restored conversations.
INSERT INTO {schema}.conversation_tags (conversation_key, tag, owner)
{rows:bigint,text,text}

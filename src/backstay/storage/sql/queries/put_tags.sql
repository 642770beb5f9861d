-- Add tags to reviews.
INSERT INTO {schema}.conversation_tags (conversation_key, tag, owner)
{rows:bigint,text,text}
    ON CONFLICT (conversation_key, tag) DO NOTHING

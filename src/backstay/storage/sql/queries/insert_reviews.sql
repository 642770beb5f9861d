-- Insert the reviews of restored conversations.
INSERT INTO {schema}.conversation_reviews (conversation_key, owner, status, rating, note, reviewer, reviewed_at)
{rows:bigint,text,text,integer,text,text,text}

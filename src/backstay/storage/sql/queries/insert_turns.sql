-- Insert the turns of new conversations.
INSERT INTO {schema}.turns (conversation_key, sequence, owner, id, role, content, metadata)
{rows:bigint,integer,text,text,text,text,text}

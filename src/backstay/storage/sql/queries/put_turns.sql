-- Insert the turns of conversations that are imported or restored.
INSERT INTO {schema}.turns (conversation_key, sequence, owner, id, role, content, metadata{columns})
{rows:bigint,integer,text,text,text,text,text+}

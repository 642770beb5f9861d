-- The turns of conversations that come in or back.
INSERT INTO {schema}.turns (conversation_key, sequence, owner, id, role, content, metadata{columns})
{rows:bigint,integer,text,text,text,text,text+}

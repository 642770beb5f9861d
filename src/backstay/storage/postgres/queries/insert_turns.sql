-- The turns of new conversations.
COPY {schema}.turns (conversation_key, sequence, owner, id, role, content, metadata)
FROM STDIN {binary:bigint,integer,text,text,text,text,text}

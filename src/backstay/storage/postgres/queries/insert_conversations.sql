-- Results of items become conversations.
COPY {schema}.conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at)
FROM STDIN {binary:bigint,text,text,text,text,text,text,text,text,text,text}

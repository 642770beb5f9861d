-- Insert the conversations of completed items.
INSERT INTO {schema}.conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at)
{rows:bigint,text,text,text,text,text,text,text,text,text,text}

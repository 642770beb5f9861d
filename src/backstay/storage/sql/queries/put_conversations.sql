-- Insert conversations that are imported or restored.
INSERT INTO {schema}.conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id, created_at,
                           updated_at{columns})
{rows:bigint,text,text,text,text,text,text,text,text,text,text+}

-- Insert the earlier versions of restored conversations.
INSERT INTO {schema}.conversation_versions (conversation_key, number, owner, line, editor, replaced_at)
{rows:bigint,integer,text,text,text,text}

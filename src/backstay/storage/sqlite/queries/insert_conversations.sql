-- Results of items become conversations.
INSERT INTO conversations (key, owner, id, topic, persona, content, metadata, job_id, item_id, created_at, updated_at)
VALUES {rows:11}

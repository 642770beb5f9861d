-- The turns of new conversations.
INSERT INTO turns (conversation_key, sequence, owner, id, role, content, metadata)
VALUES {rows:7}

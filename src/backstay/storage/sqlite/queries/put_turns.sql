-- The turns of conversations that come in or back.
INSERT INTO turns (conversation_key, sequence, owner, id, role, content, metadata{columns})
VALUES {rows:7+}

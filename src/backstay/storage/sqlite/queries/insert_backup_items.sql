-- What the snapshot held, as far as it is written.
INSERT INTO backup_items (backup_key, position, owner, id, conversation_key, digest, row_version)
VALUES {rows:7}

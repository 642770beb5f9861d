-- nothing → completed or failed, as another program has said
INSERT INTO items (job_key, position, owner, id, digest, state, attempt, tries)
VALUES {rows:8}

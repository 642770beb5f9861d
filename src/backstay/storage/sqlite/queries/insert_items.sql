-- nothing → pending
INSERT INTO items (job_key, position, owner, id, digest)
VALUES {rows:5}

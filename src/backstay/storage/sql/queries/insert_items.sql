-- nothing → pending
INSERT INTO {schema}.items (job_key, position, owner, id, digest)
{rows:bigint,bigint,text,text,bytea}

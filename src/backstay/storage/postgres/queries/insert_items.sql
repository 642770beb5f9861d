-- nothing → pending
COPY {schema}.items (job_key, position, owner, id, digest)
FROM STDIN {binary:bigint,bigint,text,text,bytea}

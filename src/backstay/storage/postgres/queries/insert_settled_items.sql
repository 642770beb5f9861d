-- nothing → completed or failed, as another program has said
COPY {schema}.items (job_key, position, owner, id, digest, state, attempt, tries)
FROM STDIN {binary:bigint,bigint,text,text,bytea,text,integer,integer}

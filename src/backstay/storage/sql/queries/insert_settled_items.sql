-- nothing → completed or failed, as another program recorded it
INSERT INTO {schema}.items (job_key, position, owner, id, digest, state, attempt, tries)
{rows:bigint,bigint,text,text,bytea,text,integer,integer}

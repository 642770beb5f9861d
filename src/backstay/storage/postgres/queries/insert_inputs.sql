-- What each item was given.
COPY {schema}.item_inputs (job_key, position, owner, topic, persona, parameters, line)
FROM STDIN {binary:bigint,bigint,text,text,text,text,bigint}

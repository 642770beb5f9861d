-- Insert the inputs of items.
INSERT INTO {schema}.item_inputs (job_key, position, owner, topic, persona, parameters, line)
{rows:bigint,bigint,text,text,text,text,bigint}

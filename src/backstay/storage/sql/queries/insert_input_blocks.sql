-- Insert blocks of inputs.
INSERT INTO {schema}.input_blocks (job_key, first_position, last_position, owner, content)
{rows:bigint,bigint,bigint,text,bytea}

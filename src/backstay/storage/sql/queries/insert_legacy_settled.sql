-- Insert the settled items of an imported job.
INSERT INTO {schema}.legacy_settled (owner, job_id, item_id, error)
{rows:text,text,text,text}

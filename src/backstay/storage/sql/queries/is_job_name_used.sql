-- Return a row if a job has this id, or if an imported job waits under this id.
SELECT 1 FROM {schema}.jobs WHERE owner = :owner AND id = :job_id
 UNION ALL
SELECT 1 FROM {schema}.legacy_jobs WHERE owner = :owner AND job_id = :job_id

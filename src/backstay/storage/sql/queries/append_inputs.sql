-- Copy the inputs of the items that were appended to a job.
INSERT INTO {schema}.item_inputs (job_key, position, owner, topic, persona, parameters, line)
SELECT :job_key, accepted.position, inputs.owner, inputs.topic, inputs.persona, inputs.parameters, inputs.line
  FROM {schema}.items AS accepted
  JOIN {schema}.items AS staged ON staged.job_key = :staged AND staged.id = accepted.id
  JOIN {schema}.item_inputs AS inputs ON inputs.job_key = :staged AND inputs.position = staged.position
 WHERE accepted.job_key = :job_key
   AND accepted.position >= :base

-- Copy the inputs of staged items to those items of the job of which only the id was known.
INSERT INTO {schema}.item_inputs (job_key, position, owner, topic, persona, parameters, line)
SELECT :job_key, known.position, inputs.owner, inputs.topic, inputs.persona, inputs.parameters, inputs.line
  FROM {schema}.items AS known
  JOIN {schema}.items AS staged ON staged.job_key = :staged AND staged.id = known.id
  JOIN {schema}.item_inputs AS inputs ON inputs.job_key = :staged AND inputs.position = staged.position
 WHERE known.job_key = :job_key
   AND octet_length(known.digest) = 0

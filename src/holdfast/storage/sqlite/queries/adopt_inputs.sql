-- … and what they were given with them.
INSERT INTO item_inputs (job_key, position, owner, topic, persona, parameters, line)
SELECT :job_key, adopted.position, inputs.owner, inputs.topic, inputs.persona, inputs.parameters, inputs.line
  FROM items AS adopted
  JOIN items AS staged ON staged.job_key = :staged AND staged.id = adopted.id
  JOIN item_inputs AS inputs ON inputs.job_key = :staged AND inputs.position = staged.position
 WHERE adopted.job_key = :job_key
   AND adopted.position >= :base

-- Delete the inputs of a job between two positions, and return them.
DELETE FROM {schema}.item_inputs
 WHERE job_key = :job_key
   AND owner = :owner
   AND position BETWEEN :first AND :last
RETURNING position, topic, persona, parameters, line

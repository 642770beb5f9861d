-- Replace the input of an item.
UPDATE {schema}.item_inputs
   SET topic = :topic, persona = :persona, parameters = :parameters
 WHERE job_key = :job_key
   AND owner = :owner
   AND position = :position

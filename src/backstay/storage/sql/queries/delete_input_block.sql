-- Delete the block of a job that begins at a position.
DELETE FROM {schema}.input_blocks
 WHERE job_key = :job_key
   AND owner = :owner
   AND first_position = :first

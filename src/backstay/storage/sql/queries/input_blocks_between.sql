-- Return the blocks of a job that have inputs between two positions.
SELECT first_position, content
  FROM {schema}.input_blocks
 WHERE job_key = :job_key
   AND owner = :owner
   AND first_position <= :last
   AND last_position >= :first
 ORDER BY first_position

-- Delete a limited number of the blocks of inputs of a job that is discarded: far fewer than rows, for their size.
DELETE FROM {schema}.input_blocks
 WHERE job_key = :job_key
   AND owner = :owner
   AND first_position IN (SELECT first_position
                            FROM {schema}.input_blocks
                           WHERE job_key = :job_key
                             AND owner = :owner
                           LIMIT 1 + :limit / 100)

-- Return the first blocks of a job that have inputs of items whose conversations were deleted.
SELECT first_position, content
  FROM {schema}.input_blocks
 WHERE job_key = :job_key
   AND owner = :owner
   AND EXISTS (SELECT 1
                 FROM {schema}.items
                WHERE items.job_key = input_blocks.job_key
                  AND items.position BETWEEN input_blocks.first_position AND input_blocks.last_position
                  AND items.deleted_at IS NOT NULL)
 ORDER BY first_position
 LIMIT :limit

-- completed → pending, all items of a job whose conversations were deleted and whose inputs are rows
UPDATE {schema}.items {indexed_by:items_deleted}
   SET state = 'pending', tries = 0, interruptions = 0, alone_interruptions = 0, available_at = 0,
       conversation_id = NULL, deleted_at = NULL
 WHERE job_key = :job_key
   AND owner = :owner
   AND state = 'completed'
   AND deleted_at IS NOT NULL
   AND EXISTS (SELECT 1 FROM {schema}.item_inputs AS inputs
                WHERE inputs.job_key = items.job_key AND inputs.position = items.position)

-- completed → pending, one item by id, if its conversation was deleted and its input still exists
UPDATE {schema}.items
   SET state = 'pending', tries = 0, interruptions = 0, alone_interruptions = 0, available_at = 0,
       conversation_id = NULL, deleted_at = NULL
 WHERE job_key = :job_key
   AND owner = :owner
   AND id = :id
   AND state = 'completed'
   AND deleted_at IS NOT NULL
   AND EXISTS (SELECT 1 FROM {schema}.item_inputs AS inputs
                WHERE inputs.job_key = items.job_key AND inputs.position = items.position)

-- Return how many items of a job have lost their conversation to a delete, and how many of these have their input.
SELECT (SELECT count(*)
          FROM {schema}.items {indexed_by:items_deleted}
         WHERE job_key = :job_key AND owner = :owner AND deleted_at IS NOT NULL),
       (SELECT count(*)
          FROM {schema}.items {indexed_by:items_deleted}
         CROSS JOIN {schema}.item_inputs AS inputs
         WHERE items.job_key = :job_key AND items.owner = :owner AND items.deleted_at IS NOT NULL
           AND inputs.job_key = items.job_key AND inputs.position = items.position)
       + (SELECT count(*)
            FROM {schema}.input_blocks AS blocks
           CROSS JOIN {schema}.items {indexed_by:items_deleted}
           WHERE blocks.job_key = :job_key AND blocks.owner = :owner AND items.deleted_at IS NOT NULL
             AND items.job_key = blocks.job_key
             AND items.position BETWEEN blocks.first_position AND blocks.last_position)

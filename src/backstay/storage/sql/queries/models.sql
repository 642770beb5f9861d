-- Return the models in the index of an owner, up to a limit: each is found by its index from the one before it.
WITH RECURSIVE models (model) AS (
    SELECT min(model)
      FROM {schema}.conversation_index
     WHERE owner = :owner
     UNION ALL
    SELECT (SELECT min(conversation_index.model)
              FROM {schema}.conversation_index
             WHERE owner = :owner
               AND conversation_index.model > models.model)
      FROM models
     WHERE model IS NOT NULL
)
SELECT model
  FROM models
 WHERE model IS NOT NULL
 LIMIT :limit

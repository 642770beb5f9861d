-- The entries of the conversation index that are not outdated, then those of the conversations that have none. A part of
-- other statements.
(SELECT owner, key, turns, characters, has_tools, model, job_id, persona, created_at
   FROM {schema}.conversation_index
  WHERE owner = :owner
    AND key NOT IN (SELECT outdated.key
                      FROM {unindexed} AS unindexed
                      JOIN {schema}.conversation_index AS outdated
                        ON outdated.owner = :owner
                       AND outdated.key BETWEEN unindexed.first_key AND unindexed.last_key)
  UNION ALL
 SELECT
{derived}
   FROM {schema}.conversations AS stored
  WHERE stored.owner = :owner
    AND stored.key IN (SELECT changed.key
                         FROM {unindexed} AS unindexed
                         JOIN {schema}.conversations AS changed
                           ON changed.owner = :owner
                          AND changed.key BETWEEN unindexed.first_key AND unindexed.last_key))

-- The entries of the conversation index, then those of the conversations that have none yet. A part of other statements.
(SELECT owner, key, turns, characters, has_tools, model, job_id, persona, created_at
   FROM {schema}.conversation_index
  WHERE owner = :owner
  UNION ALL
 SELECT
{derived}
   FROM {unindexed} AS unindexed
  CROSS JOIN {schema}.conversations AS stored
     ON stored.owner = :owner AND stored.key BETWEEN unindexed.first_key AND unindexed.last_key) AS entries
 WHERE owner = :owner

-- Index these conversations.
INSERT INTO {schema}.conversation_index (owner, key, turns, characters, has_tools, model, job_id, persona, created_at)
SELECT
{derived}
  FROM {schema}.conversations AS stored
 WHERE stored.owner = :owner
   AND stored.key IN ({list:keys})

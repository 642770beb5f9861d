-- The entries of the conversation index that are not outdated, then those of the conversations that have none. A part of
-- other statements. The first half is a plain table, so that its indexes serve the order of a list. OFFSET 0 keeps the
-- server from reading everything where there are few ranges.
(SELECT owner, key, turns, characters, has_tools, model, job_id, persona, created_at, TRUE AS is_entry
   FROM {schema}.conversation_index
  UNION ALL
 SELECT
{derived}, FALSE
   FROM (SELECT DISTINCT changed.key
           FROM {unindexed} AS unindexed
          CROSS JOIN LATERAL (SELECT key
                                FROM {schema}.conversations
                               WHERE owner = :owner
                                 AND key BETWEEN unindexed.first_key AND unindexed.last_key
                              OFFSET 0) AS changed) AS changed_keys
  CROSS JOIN LATERAL (SELECT *
                        FROM {schema}.conversations
                       WHERE conversations.owner = :owner
                         AND conversations.key = changed_keys.key
                      OFFSET 0) AS stored) AS entries
 WHERE owner = :owner
   AND (NOT is_entry OR key NOT IN (SELECT outdated.key
                                      FROM {unindexed} AS unindexed
                                     CROSS JOIN LATERAL (SELECT key
                                                           FROM {schema}.conversation_index
                                                          WHERE owner = :owner
                                                            AND key BETWEEN unindexed.first_key AND unindexed.last_key
                                                         OFFSET 0) AS outdated))

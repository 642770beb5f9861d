-- Return the number of conversations of an owner whose texts are in the text index as they are.
SELECT count(*)
  FROM {schema}.conversation_index
 WHERE owner = :owner
   AND has_text
   AND key NOT IN (SELECT outdated.key
                     FROM {unindexed} AS unindexed
                     JOIN {schema}.conversation_index AS outdated
                       ON outdated.owner = :owner
                      AND outdated.key BETWEEN unindexed.first_key AND unindexed.last_key)

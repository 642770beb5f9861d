-- Return the number of index entries of an owner, without outdated ones.
SELECT count(*)
  FROM {schema}.conversation_index
 WHERE owner = :owner
   AND key NOT IN (SELECT outdated.key
                     FROM {unindexed} AS unindexed
                     JOIN {schema}.conversation_index AS outdated
                       ON outdated.owner = :owner
                      AND outdated.key BETWEEN unindexed.first_key AND unindexed.last_key)

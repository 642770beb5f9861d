-- Delete the index entries of a range of keys, which are outdated.
DELETE FROM {schema}.conversation_index
 WHERE owner = :owner
   AND key BETWEEN :first AND :last

-- Return how many bytes the kept versions of a conversation have.
SELECT CAST(coalesce(sum(octet_length(line)), 0) AS bigint)
  FROM {schema}.conversation_versions
 WHERE conversation_key = :key
   AND owner = :owner

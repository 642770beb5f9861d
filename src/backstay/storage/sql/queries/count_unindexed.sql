-- Return the number of conversations of an owner that are not indexed.
SELECT count(DISTINCT stored.key)
  FROM {unindexed} AS unindexed
  JOIN {schema}.conversations AS stored
    ON stored.owner = :owner AND stored.key BETWEEN unindexed.first_key AND unindexed.last_key

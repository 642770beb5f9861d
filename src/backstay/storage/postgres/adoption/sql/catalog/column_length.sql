-- Return how many characters a column holds; for a domain, the lowest limit of its base types. Null if unlimited.
WITH RECURSIVE under (type, modifier) AS (
    SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s
     UNION ALL
    SELECT typbasetype, typtypmod FROM under JOIN pg_type ON pg_type.oid = under.type WHERE typtype = 'd')
SELECT min(modifier) - 4
  FROM under
 WHERE modifier > 0

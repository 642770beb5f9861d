-- What so many new conversations are to be called: an id of ours will do.
WITH RECURSIVE counted (number) AS (SELECT 1 WHERE :count > 0
                                     UNION ALL
                                    SELECT number + 1 FROM counted WHERE number < :count)
SELECT NULL
  FROM counted

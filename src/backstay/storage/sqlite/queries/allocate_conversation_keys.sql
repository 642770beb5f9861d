-- Allocate keys for so many new conversations; NULL for each id, since Backstay makes it.
WITH RECURSIVE counted (number) AS (SELECT 1 WHERE :count > 0
                                     UNION ALL
                                    SELECT number + 1 FROM counted WHERE number < :count)
SELECT (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'conversations') + number, NULL
  FROM counted

-- Return the number of selected conversations with keys in a range, up to a limit.
SELECT count(*)
  FROM (SELECT 1
          FROM {entries}
           AND key > :after
           AND key < :before
           {matching_in_range}
         LIMIT :limit) AS counted

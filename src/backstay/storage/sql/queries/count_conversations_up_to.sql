-- Return the number of selected conversations with keys in a range, up to a limit. No condition is on an entry of the index.
SELECT count(*)
  FROM (SELECT 1
          FROM {schema}.conversations
         WHERE owner = :owner
           AND key > :after
           AND key < :before
           {selected_in_range}
         LIMIT :limit) AS counted

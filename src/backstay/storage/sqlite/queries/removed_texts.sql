-- Return the number of texts that were removed from conversations and are still in the text index, and of those that have left
-- traces there.
SELECT count(*) FILTER (WHERE state = 'indexed'), count(*) FILTER (WHERE state <> 'indexed')
  FROM {schema}.removed_texts
